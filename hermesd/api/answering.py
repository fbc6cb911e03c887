"""Answers to those who wait in no task: given by one task to all of a turn together."""

from __future__ import annotations

from collections.abc import Callable

import trio

Call = Callable[[], None]


class Answering:
    """Makes calls soon, which must not raise; its task runs in `nursery`.

    Not at once, since whoever learns what there is to answer has more to do, and quicker.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._calls: list[Call] = []
        self._called = False  # the task is on its way
        self._resting: trio.lowlevel.Task | None = None

    def soon(self, call: Call) -> None:
        """Call it in the next turn of the loop."""
        self._calls.append(call)
        if self._called:
            return
        self._called = True
        task, self._resting = self._resting, None
        if task is not None:
            trio.lowlevel.reschedule(task)
        else:
            self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        while self._called:
            self._called = False
            calls, self._calls = self._calls, []
            for call in calls:
                call()
            await self._rest()

    async def _rest(self) -> None:
        def leave(_: object) -> trio.lowlevel.Abort:
            self._resting = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._resting = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(leave)
