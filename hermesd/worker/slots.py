"""The slots of one worker process, by kind of execution."""

from __future__ import annotations

from collections.abc import Mapping

from hermesd.core.fleet import SlotView
from hermesd.signal import Signal


class SlotTable:
    """Counts what is taken. A slot is free when its handler has ended, whatever is reported."""

    def __init__(self, totals: Mapping[str, int]):
        self.totals = dict(totals)
        self._taken = dict.fromkeys(totals, 0)
        self._version = 0
        self.freed = Signal()  # of a kind that had no free slot there is one
        self.closed = False  # the worker drains: no free slot is shown or given

    def take(self, kind: str) -> bool:
        """Take a slot; False where none is free."""
        if self.closed or self._taken[kind] >= self.totals[kind]:
            return False
        self._taken[kind] += 1
        return True

    def give_back(self, kind: str) -> None:
        """A handler has ended."""
        if self._taken[kind] >= self.totals[kind]:
            self.freed.set()
        self._taken[kind] -= 1

    def free(self) -> dict[str, int]:
        """Free slots by kind."""
        if self.closed:
            return dict.fromkeys(self.totals, 0)
        return {kind: total - self._taken[kind] for kind, total in self.totals.items()}

    def view(self, last_batch: int, *, clogged: bool = False) -> SlotView:
        """A numbered view for an api, as of its batch `last_batch`; `clogged`: none is shown."""
        self._version += 1
        free = dict.fromkeys(self.totals, 0) if clogged else self.free()
        return SlotView(version=self._version, free=free, last_batch=last_batch)
