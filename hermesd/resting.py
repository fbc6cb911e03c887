"""Tasks that have nothing to do until one of them is called."""

from __future__ import annotations

import trio


class Resting:
    """A wake-up for one task each, and no event to make for it; a cancelled one rests no more."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: list[trio.lowlevel.Task] = []

    def __len__(self) -> int:
        return len(self._tasks)

    def call(self) -> bool:
        """Let the one that came last go on; False where none rests."""
        if not self._tasks:
            return False
        trio.lowlevel.reschedule(self._tasks.pop())
        return True

    async def rest(self) -> None:
        """Return when called."""
        task = trio.lowlevel.current_task()

        def leave(_: object) -> trio.lowlevel.Abort:
            self._tasks.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        self._tasks.append(task)
        await trio.lowlevel.wait_task_rescheduled(leave)
