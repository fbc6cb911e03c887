"""What a running job tells of itself: how far it is, and lines for its log."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from hermesd.core.errors import InvalidValue
from hermesd.core.job import Token

MAX_LINES: Final = 1000  # kept of one run of a job; the rest is counted
MAX_LINE_BYTES: Final = 4096
MAX_NOTE_BYTES: Final = 256
# What a line counts in the size of a job that is to be deleted: about what most take.
LINE_BYTES: Final = 256
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
CUT_MARK: Final = "… (cut)"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is, from 0 to 1, in its own words, and when it said so (UTC seconds)."""

    fraction: float
    note: str = ""
    at: float = 0.0


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line that a job has logged, at a UTC second."""

    line: str
    level: str = "info"
    at: float = 0.0

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory and on the wire."""
        return 2 * len(self.line) + 64


class JobNotes(msgspec.Struct, frozen=True, kw_only=True):
    """The news of one lease; its times rise strictly from line to line.

    `dropped` lines were said beside these, and were too many. `repeated`: what this holds may have
    been taken before, by a call whose answer was lost.
    """

    token: Token
    progress: Progress | None = None
    lines: tuple[LogLine, ...] = ()
    dropped: int = 0
    repeated: bool = False


class NoteBatch(msgspec.Struct, frozen=True, kw_only=True):
    """News of jobs that one incarnation runs."""

    incarnation: str
    notes: tuple[JobNotes, ...]


class NoteKept(msgspec.Struct, frozen=True, kw_only=True):
    """The news of a job are stored: which job's, in which attempt, and how many lines of them."""

    job_type: str
    run: int
    attempt: int
    lines: int


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a job has told: the progress of its last attempt, and how many lines are not kept."""

    progress: Progress | None = None
    logs_dropped: int = 0


class KeptLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a job's log; `number` rises with each line that is stored."""

    number: int
    at: float
    run: int
    attempt: int
    level: str
    line: str


def fraction_of(value: float) -> float:
    """A progress from 0 to 1; raises InvalidValue for anything else, NaN included."""
    try:
        fraction = float(value)
    except (TypeError, ValueError, OverflowError):
        fraction = math.nan
    if not 0.0 <= fraction <= 1.0:
        raise InvalidValue(f"progress must be a number from 0 to 1, got {value!r}")
    return fraction


def level_of(value: str) -> str:
    """The name of a level; raises InvalidValue for one that is not among LEVELS."""
    if value not in LEVELS:
        raise InvalidValue(f"log level {value!r} is none of {', '.join(LEVELS)}")
    return value


def bounded(text: str, most_bytes: int) -> str:
    """`text` as it can be stored (no NUL, no lone surrogate), cut and marked past `most_bytes`."""
    head = text[: most_bytes + 1].replace("\0", "�").encode("utf-8", "replace")
    if len(head) <= most_bytes:
        return head.decode()
    room = most_bytes - len(CUT_MARK.encode())
    return head[:room].decode("utf-8", "ignore") + CUT_MARK
