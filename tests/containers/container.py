"""A container of ours as Compose or Kubernetes starts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from hermesd.cli.main import cli
from hermesd.config import Config, load

ROOT: Final = Path(__file__).parents[2]
PACKAGING: Final = ROOT / "packaging"
IMAGE_CONFIG: Final = PACKAGING / "image" / "hermes.toml"
SECRETS: Final = "/run/secrets"
STOP_MARGIN_SECONDS: Final = 10.0  # as the daemon has it


@dataclass(frozen=True)
class Container:
    """`args` are those of the entry point, `commands` what else is run in it (without `hermesd`).

    `ports` are those that others find it by, `secrets` the files below SECRETS, `grace_seconds`
    from the order to stop to the kill.
    """

    name: str
    args: Sequence[str]
    environ: Mapping[str, str]
    grace_seconds: float
    ports: frozenset[int] = frozenset()
    secrets: frozenset[str] = frozenset()
    commands: Sequence[Sequence[str]] = field(default=())

    @property
    def role(self) -> str:
        """As its arguments say."""
        context = parsed(self.args)
        assert context.command.name == "serve"
        return str(context.params["role"])

    def config(self, folder: Path) -> Config:
        """By the product's own loader, over the image's file; raises ConfigError.

        Its secrets are made in `folder`: those that are mounted, and no others.
        """
        for name in self.secrets:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("p@ss/word")
        return load([IMAGE_CONFIG], self.environ_in(folder))

    def environ_in(self, folder: Path) -> dict[str, str]:
        """Its variables, with the secrets looked for in `folder`."""
        return {
            name: value.replace(SECRETS, str(folder), 1) if value.startswith(SECRETS) else value
            for name, value in self.environ.items()
        }


def parsed(args: Sequence[str]) -> click.Context:
    """The innermost context of these arguments of `hermesd`; raises click.UsageError."""
    command: click.Command = cli
    context, rest = None, list(args)
    name: str | None = "hermesd"
    while True:
        context = command.make_context(name, rest, parent=context)
        if not isinstance(command, click.Group):
            return context
        words = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, words)
        assert found is not None
        command = found


def least_grace_seconds(config: Config) -> float:
    """What the daemon asks systemd for to end in."""
    return config.drain.seconds + 3 * config.drain.report_seconds + STOP_MARGIN_SECONDS
