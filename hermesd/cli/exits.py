"""How a command ends: its exit code (sysexits.h) and what it says on stderr."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from hermesd.core.errors import (
    AccessRefused,
    ConfigError,
    HermesError,
    InvalidValue,
    Unavailable,
)

OK: Final = 0
REFUSED: Final = 1  # the job failed, or the api refused
USAGE: Final = 64
DATA: Final = 65
NO_INPUT: Final = 66
NOT_REACHED: Final = 69
INTERNAL: Final = 70
SYSTEM: Final = 71
TRY_AGAIN: Final = 75
PROTOCOL: Final = 76
PERMISSION: Final = 77
CONFIG: Final = 78
INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell reports it
PIPE_CLOSED: Final = 141  # 128 + SIGPIPE, likewise


class Failed(Exception):
    """A command's end other than success: its code, one line, and more members for `--json`."""

    def __init__(
        self, exit_code: int, detail: str, members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.exit_code = exit_code
        self.detail = detail
        self.members: Mapping[str, Any] = members or {}


def failed(error: Exception) -> Failed | None:
    """What `error` amounts to; None for a defect of this program."""
    if isinstance(error, Failed):
        return error
    if isinstance(error, HermesError):
        own = {"slug": error.slug, "title": error.title}
        return Failed(_hermes_code(error), error.detail, {**error.extra, **own})
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return Failed(_system_code(error), where + reason, {"slug": "system"})
    return None


def _hermes_code(error: HermesError) -> int:
    if isinstance(error, ConfigError):
        return CONFIG
    if isinstance(error, InvalidValue):
        return USAGE
    if isinstance(error, AccessRefused):
        return PERMISSION
    return TRY_AGAIN if isinstance(error, Unavailable) else INTERNAL


def _system_code(error: OSError) -> int:
    if isinstance(error, PermissionError):
        return PERMISSION
    return NO_INPUT if isinstance(error, FileNotFoundError) else SYSTEM
