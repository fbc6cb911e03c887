"""What one caller asks of the group commit, whole or in the pieces that a fault makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import msgspec
import trio

from hermesd.stores.backend import Part


class Work:
    """One caller's items, their answers, and the task that waits for them.

    `tried` says that a commit of it alone has failed, or may have.
    """

    __slots__ = ("answers", "part", "task", "tried", "weight", "whole", "withdrawn")

    def __init__(self, part: Part, *, whole: bool, weight: int) -> None:
        self.part = part
        self.whole = whole
        self.weight = weight
        self.answers: list[Any] = []
        self.task: trio.lowlevel.Task | None = None
        self.withdrawn = False
        self.tried = False

    async def done(self) -> None:
        """Wait for `wake()`; called by one task. A caller that gives up withdraws its items."""
        self.task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._withdraw)

    def wake(self) -> None:
        """End the wait, if somebody waits still."""
        if self.task is not None:
            trio.lowlevel.reschedule(self.task)

    def fail(self, error: Exception) -> None:
        """Let `error` be the answer to every item."""
        self.answers = [error] * len(self.part.items)

    def _withdraw(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        self.withdrawn = True
        return trio.lowlevel.Abort.SUCCEEDED


class Piece(msgspec.Struct, frozen=True):
    """The items from `start` to `stop` of one work."""

    work: Work
    start: int
    stop: int

    def part(self) -> Part:
        """The items, as the database takes them."""
        whole = self.work.part
        if self.stop - self.start == len(whole.items):
            return whole
        return Part(verb=whole.verb, items=whole.items[self.start : self.stop], at=whole.at)

    def answer(self, answers: Sequence[Any]) -> None:
        """One answer an item; the work has room for them."""
        self.work.answers[self.start : self.stop] = answers

    def fail(self, error: Exception) -> None:
        """Let `error` be the answer to each item."""
        # A copy each: an exception that several tasks raise would gather all their tracebacks.
        self.answer([copy(error) for _ in range(self.start, self.stop)])

    def halves(self) -> tuple[Piece, Piece] | None:
        """None for what cannot be divided."""
        if self.work.whole or self.stop - self.start < 2:
            return None
        middle = (self.start + self.stop) // 2
        return Piece(self.work, self.start, middle), Piece(self.work, middle, self.stop)
