"""How a handler tells of itself while it runs: its progress, and lines for its job's log."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

from hermesd.core.job import Token
from hermesd.core.notes import MAX_LINE_BYTES, bounded, level_of


class TakesNotes(Protocol):
    """Who is told. Called from any thread; neither waits nor raises."""

    def progress(self, token: Token, fraction: float, note: str) -> None:
        """How far the job is."""

    def line(self, token: Token, level: str, line: str) -> None:
        """One line for its log."""


class Nobody:
    """For handlers that are called outside of the daemon, in tests."""

    def progress(self, token: Token, fraction: float, note: str) -> None:
        """Nobody listens."""

    def line(self, token: Token, level: str, line: str) -> None:
        """Nobody listens."""


class Said:
    """What `progress` answers: it is said by then; an async handler awaits it to let others run."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        """A checkpoint under trio."""
        import trio  # only here: an async handler has it loaded, and plain ones need not

        let_others_run = trio.lowlevel.checkpoint
        return let_others_run().__await__()


class JobLog:
    """Called, it adds a line to the job's own log, which clients read.

    Its methods (`info`, `warning`, `bind`, ...) are those of a structlog logger and write to the
    worker's log, for whoever operates it.
    """

    __slots__ = ("_context_logger", "_notes", "_token")

    def __init__(self, notes: TakesNotes, token: Token, context_logger: Any) -> None:
        self._notes = notes
        self._token = token
        self._context_logger = context_logger

    def __call__(self, text: str, level: str = "info") -> None:
        """Never waits. A text over 4 KB is cut; raises InvalidValue for an unknown level."""
        line = bounded(str(text).rstrip("\r\n"), MAX_LINE_BYTES)
        self._notes.line(self._token, level_of(level), line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context_logger(), name)
