"""Answers to those who wait in no task: given by one task to all of a turn together."""

from __future__ import annotations

from collections.abc import Callable

import trio

from hermesd.resting import Resting

Call = Callable[[], None]


class Answering:
    """Makes calls soon, which must not raise; its task runs in `nursery`.

    Not at once, since whoever learns what there is to answer has more to do, and quicker.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._calls: list[Call] = []
        self._called = False  # the task is on its way
        self._resting = Resting()

    def soon(self, call: Call) -> None:
        """Call it in the next turn of the loop."""
        self._calls.append(call)
        if self._called:
            return
        self._called = True
        if not self._resting.call():
            self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        while self._called:
            self._called = False
            calls, self._calls = self._calls, []
            for call in calls:
                call()
            await self._resting.rest()
