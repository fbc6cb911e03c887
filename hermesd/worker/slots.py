"""The slots of one worker process, by kind of execution."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hermesd.config import WorkerSection
from hermesd.core.fleet import SlotView
from hermesd.core.job import Kind
from hermesd.signal import Signal


class SlotTable:
    """Counts what is taken. A slot is free when its handler has ended, whatever is reported."""

    def __init__(self, totals: Mapping[str, int]):
        self.totals = dict(totals)
        self._taken = dict.fromkeys(totals, 0)
        self._version = 0
        self.freed = Signal()  # of a kind that had no free slot there is one
        self.closed = False  # the worker drains: no free slot is shown or given
        self._paused = False  # likewise, until it is resumed

    def take(self, kind: str, slots: int = 1) -> bool:
        """Take so many slots; False, and none is taken, where fewer are free."""
        if self.closed or self._paused or self._taken[kind] + slots > self.totals[kind]:
            return False
        self._taken[kind] += slots
        return True

    def give_back(self, kind: str, slots: int = 1) -> None:
        """So many handlers have ended."""
        before = self._taken[kind]
        self._taken[kind] = now = before - slots
        if now < self.totals[kind] <= before:
            self.freed.set()

    def resize(self, totals: Mapping[str, int]) -> None:
        """Have so many from now on; where more are taken, none is free until fewer are."""
        self.totals = dict(totals)
        self.freed.set()

    def pause(self, paused: bool) -> None:
        """Show and give no free slot while that is so; what is taken stays taken."""
        self._paused = paused
        if not paused:
            self.freed.set()

    def free(self) -> dict[str, int]:
        """Free slots by kind."""
        if self.closed or self._paused:
            return dict.fromkeys(self.totals, 0)
        return {kind: max(total - self._taken[kind], 0) for kind, total in self.totals.items()}

    def view(self, last_batch: int, *, clogged: bool = False) -> SlotView:
        """A numbered view for an api, as of its batch `last_batch`; `clogged`: none is shown."""
        self._version += 1
        free = dict.fromkeys(self.totals, 0) if clogged else self.free()
        return SlotView(version=self._version, free=free, last_batch=last_batch)


def totals_of(section: WorkerSection) -> dict[str, int]:
    """The slots by kind that a section of the configuration asks for."""
    return {
        str(Kind.ASYNC): section.async_slots,
        str(Kind.THREAD): section.thread_slots,
        str(Kind.PROCESS): section.process_slots or len(os.sched_getaffinity(0)),
    }
