"""Options and parameter types that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from hermesd.config.instance import Instance, parse_instance
from hermesd.core.errors import InvalidValue
from hermesd.core.job import PRIORITY_LEVELS

F = TypeVar("F", bound=Callable[..., Any])

URL_KEY: Final = "hermesd.url"  # in the context's meta: what --url said
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])\Z", re.ASCII)
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _turn_json_on(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj = replace(ctx.obj, json=True)


def json_option(command: F) -> F:
    """`--json` behind the command, where people type it; the same as before it."""
    option = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_turn_json_on,
        help="Print JSON, errors too.",
    )
    return option(command)


class Moment(click.ParamType[datetime]):
    """RFC 3339 with a time zone, or an age like 90s, 15m, 2h, 7d, 4w."""

    name = "time"
    relative = "an age"
    direction = -1

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The moment, aware."""
        if isinstance(value, datetime):
            return value
        span = _SPAN.match(value)
        try:
            if span:
                seconds = float(span[1]) * _UNIT_SECONDS[span[2]]
                return datetime.now(UTC) + self.direction * timedelta(seconds=seconds)
            moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            example = f"{value!r} is neither like 2026-01-31T12:00:00Z nor {self.relative} like 2h."
            self.fail(example, param)
        if moment.tzinfo is None:
            moment = moment.astimezone()  # what is typed without a zone is meant locally
        return moment


class Later(Moment):
    """RFC 3339 with a time zone, or a time from now like 90s, 15m, 2h, 7d, 4w."""

    relative = "a time from now"
    direction = 1


class Label(click.ParamType[tuple[str, str]]):
    """KEY=VALUE."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The pair."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not KEY=VALUE.", param)
        return key, text


class Priority(click.ParamType[int | str]):
    """A number from 0 to 10, or a level's name; the api checks the range."""

    name = "priority"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """The number or the name."""
        if isinstance(value, int) or value in PRIORITY_LEVELS:
            return value  # type: ignore[no-any-return]  # click hands over Any
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor one of {', '.join(PRIORITY_LEVELS)}.")

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The levels."""
        return [CompletionItem(name) for name in PRIORITY_LEVELS if name.startswith(incomplete)]


class InstanceName(click.ParamType[Instance]):
    """What stands behind the @ in the name of the systemd unit."""

    name = "instance"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Instance:
        """The instance."""
        if isinstance(value, Instance):
            return value
        try:
            return parse_instance(value)
        except InvalidValue as error:
            self.fail(error.detail, param)


def instance_option(command: F) -> F:
    """`--instance`, of the commands that read a daemon's configuration."""
    option = click.option(
        "--instance",
        type=InstanceName(),
        help="Which daemon of this machine: ROLE or ROLE-SUFFIX, like worker-2. It has its own "
        "file over the configuration, where there is one: /etc/hermes.d/INSTANCE.toml.",
    )
    return option(command)


def with_options(command: F, *options: Callable[[F], F]) -> F:
    """`command` with options and arguments, which `--help` lists in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def labels_option(about: str) -> Callable[[F], F]:
    """`--label KEY=VALUE`, repeatable, as a dict."""

    def collected(
        ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, str], ...]
    ) -> dict[str, str]:
        labels = dict(value)
        if len(labels) < len(value):
            raise click.BadParameter("a key was given twice.", ctx, param)
        return labels

    return click.option(
        "--label", "labels", type=Label(), multiple=True, callback=collected, help=about
    )


def limit_option(default: int) -> Callable[[F], F]:
    """`-n/--limit`."""
    return click.option(
        "-n",
        "--limit",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        help="Show at most so many.",
    )
