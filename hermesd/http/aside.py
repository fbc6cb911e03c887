"""A request that is served while the task of its connection waits for the next one."""

import trio


class Aside:
    """Whether one is `begun`, `unsent` of its answer, and whether the connection is `over`."""

    __slots__ = ("_task", "begun", "over", "unsent")

    def __init__(self) -> None:
        self.begun = False
        self.over = False
        self.unsent = memoryview(b"")
        self._task: trio.lowlevel.Task | None = None

    def settle(self) -> None:
        """It is answered."""
        self.begun = False
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)

    @property
    def awaited(self) -> bool:
        """Whether the connection's task waits for its answer, with bytes that came after it."""
        return self._task is not None

    async def settled(self) -> None:
        """Return when it is answered, if one is begun; cancellation does not end the wait."""
        if self.begun:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(_stay)
            self._task = None


def _stay(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
