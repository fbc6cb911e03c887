"""Throwaway environments: what is installed here goes with its folder."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

INSTALL_SECONDS = 600.0
_TOLD_CHARACTERS = 400


class NotInstallable(Exception):
    """A package could not be had; the message is why."""


def python_with(folder: Path, packages: Sequence[str]) -> str:
    """The interpreter of a new environment in `folder` that has `packages`; NotInstallable."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    install([python, "-m", "pip", "install", "--quiet", *packages], folder)
    return python


def install(command: Sequence[str], folder: Path) -> None:
    """Run an installer in `folder`; NotInstallable with its last words."""
    try:
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstallable(str(error)) from error
    if ended.returncode != 0:
        words = (ended.stderr or ended.stdout).strip()[-_TOLD_CHARACTERS:]
        raise NotInstallable(words.replace("\n", " ") or f"exit code {ended.returncode}")
