"""What running handlers have told and no api has been told yet: bounded, and safe for threads.

A handler's words are kept here and its call returns; who sends them (see `notes`) takes them from
here. Nothing is kept of a job that tells nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from hermesd.core.job import Token
from hermesd.core.notes import MAX_LINES, JobNotes, LogLine, Progress
from hermesd.ports import Clock
from hermesd.worker.leases import Leases

MAX_WAITING_LINES: Final = 10_000
MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
# What one call takes along: in all, and of the lines of one job, so that none crowds out others.
CALL_JOBS: Final = 500
CALL_BYTES: Final = 512 * 1024
JOB_BYTES: Final = 128 * 1024
_MICROSECOND: Final = 1e-6
_JOB_OVERHEAD_BYTES: Final = 700  # its token, and a progress with a note of full length


class _Page:
    """One job's words. `said` counts its lines, `under_way`: some are being sent."""

    __slots__ = ("dropped", "last_at", "lines", "progress", "repeated", "said", "under_way")

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.lines: list[LogLine] = []
        self.dropped = 0
        self.said = 0
        self.last_at = 0.0
        self.repeated = False
        self.under_way = False

    @property
    def empty(self) -> bool:
        return self.progress is None and not self.lines and not self.dropped


class Notebook:
    """Takes words of jobs in `leases.running` from any thread (handlers.notes.TakesNotes).

    `news` is called, from that thread, when there is something to send of a job that had nothing.
    A job that runs without an api has nobody to tell: its words are let go.
    """

    def __init__(self, leases: Leases, clock: Clock, news: Callable[[], None]) -> None:
        self._leases = leases
        self._clock = clock
        self._news = news
        self._lock = threading.Lock()
        self._pages: dict[Token, _Page] = {}
        self._due: dict[Token, None] = {}  # in the order in which they are to be sent
        self._waiting_lines = 0
        self._waiting_bytes = 0

    def __contains__(self, token: Token) -> bool:
        """Whether this job has told anything."""
        return token in self._pages

    @property
    def due(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._due)

    def owes(self, token: Token) -> bool:
        """Whether words of this job are not sent, or not answered."""
        page = self._pages.get(token)
        return page is not None and (page.under_way or not page.empty)

    def progress(self, token: Token, fraction: float, note: str) -> None:
        """See TakesNotes; the last word replaces the one before it."""
        with self._lock:
            page = self._page(token)
            if page is not None:
                page.progress = Progress(fraction=fraction, note=note, at=self._clock.utc())
                self._now_due(token)

    def line(self, token: Token, level: str, line: str) -> None:
        """See TakesNotes; a line that is too many is counted."""
        with self._lock:
            page = self._page(token)
            if page is None:
                return
            page.said += 1
            if page.said > MAX_LINES or self._full:
                page.dropped += 1
            else:
                page.last_at = max(self._clock.utc(), page.last_at + _MICROSECOND)
                self._add(page, [LogLine(line=line, level=level, at=page.last_at)])
            self._now_due(token)

    def dropped(self, token: Token, lines: int) -> None:
        """So many lines were counted elsewhere, since they were too many."""
        with self._lock:
            page = self._page(token)
            if page is not None and lines > 0:
                page.dropped += lines
                self._now_due(token)

    def take(self, wanted: Iterable[Token] | None = None) -> list[JobNotes]:
        """What the next call carries, of these jobs or of all; to be `done` or `put_back`."""
        with self._lock:
            tokens = [t for t in (self._due if wanted is None else wanted) if t in self._due]
            taken: list[JobNotes] = []
            room = CALL_BYTES
            for token in tokens[:CALL_JOBS]:
                page = self._pages[token]
                note = self._tear_out(token, page, min(room, JOB_BYTES))
                taken.append(note)
                room -= _JOB_OVERHEAD_BYTES + sum(line.size_bytes for line in note.lines)
                del self._due[token]
                if not page.empty:
                    self._due[token] = None  # behind the others
                if room <= 0:
                    break
            return taken

    def done(self, notes: Iterable[JobNotes]) -> None:
        """An api has answered, or nobody wants them."""
        with self._lock:
            for note in notes:
                page = self._pages.get(note.token)
                if page is not None:
                    page.under_way = page.repeated = False
                    if page.empty and note.token not in self._leases.running:
                        del self._pages[note.token]

    def put_back(self, notes: Iterable[JobNotes]) -> None:
        """A call had no answer: what it carried is sent again, and may then be a repeat."""
        with self._lock:
            for note in notes:
                page = self._pages.get(note.token)
                if page is None:
                    continue
                page.under_way, page.repeated = False, True
                page.progress = page.progress or note.progress
                page.dropped += note.dropped
                later, page.lines = page.lines, []
                self._add(page, note.lines)
                page.lines += later
                self._due.setdefault(note.token)

    def forget(self, token: Token) -> None:
        """The job has ended, and what is left of its words comes too late."""
        with self._lock:
            page = self._pages.pop(token, None)
            if page is not None:
                self._due.pop(token, None)
                self._remove(page.lines)

    @property
    def _full(self) -> bool:
        return self._waiting_lines >= MAX_WAITING_LINES or self._waiting_bytes >= MAX_WAITING_BYTES

    def _page(self, token: Token) -> _Page | None:
        """The job's page, a new one if it runs; None where nobody wants its words."""
        page = self._pages.get(token)
        if page is None and token in self._leases.running:
            page = self._pages[token] = _Page()
        return page

    def _now_due(self, token: Token) -> None:
        if token not in self._due:
            self._due[token] = None
            self._news()

    def _tear_out(self, token: Token, page: _Page, room: int) -> JobNotes:
        """All but the lines that do not fit; one line fits in any case."""
        count = 0
        while count < len(page.lines) and (count == 0 or room > 0):
            room -= page.lines[count].size_bytes
            count += 1
        lines, page.lines = page.lines[:count], page.lines[count:]
        self._remove(lines)
        note = JobNotes(
            token=token,
            progress=page.progress,
            lines=tuple(lines),
            dropped=page.dropped,
            repeated=page.repeated,
        )
        page.progress, page.dropped, page.under_way = None, 0, True
        return note

    def _add(self, page: _Page, lines: Iterable[LogLine]) -> None:
        for line in lines:
            page.lines.append(line)
            self._waiting_lines += 1
            self._waiting_bytes += line.size_bytes

    def _remove(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            self._waiting_lines -= 1
            self._waiting_bytes -= line.size_bytes
