"""The `hermesd` command, run as a user would run it."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.demo.screen import DemoFailed, Screen

COMMAND_SECONDS: Final = 90.0
_SHOWN_LENGTH: Final = 60


def installed_command() -> Path:
    """The script beside this interpreter; raises DemoFailed where hermesd is not installed."""
    path = Path(sysconfig.get_path("scripts")) / "hermesd"
    if not path.is_file():
        raise DemoFailed(f"there is no {path}: install hermesd first (make setup).")
    return path


class Command:
    """Runs `hermesd ARGUMENTS` in `folder` and shows what was typed."""

    def __init__(self, screen: Screen, environ: Mapping[str, str], folder: Path):
        self._screen = screen
        self._environ = environ
        self._folder = folder
        self._path = installed_command()

    def text(self, *arguments: str) -> str:
        """What it printed; raises DemoFailed unless it ended with 0 in time."""
        self._screen.command(["hermesd", *(_shown(word) for word in arguments)])
        try:
            ended = subprocess.run(
                [str(self._path), *arguments],
                env=self._environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DemoFailed(
                f"hermesd {arguments[0]} had not ended after {COMMAND_SECONDS:.0f} s."
            ) from None
        if ended.returncode != 0:
            said = (ended.stderr or ended.stdout).strip()
            raise DemoFailed(
                f"hermesd {arguments[0]} ended with exit code {ended.returncode}: {said}"
            )
        return ended.stdout

    def json(self, *arguments: str) -> Any:
        """The same with --json, decoded."""
        return json.loads(self.text(*arguments, "--json"))


def _shown(word: str) -> str:
    shown = word if len(word) <= _SHOWN_LENGTH else word[: _SHOWN_LENGTH - 1] + "…"
    return f"'{shown}'" if any(char in shown for char in ' "{') else shown
