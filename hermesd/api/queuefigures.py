"""How the named queues are: paused or not, what waits and runs, and who serves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import trio

from hermesd.api.queuebook import undeclared
from hermesd.api.state import ApiState
from hermesd.core.fleet import FleetEntry, WorkerStatus
from hermesd.core.job import Rung
from hermesd.core.orders import QueuePause

FRESH_SECONDS: Final = 2.0  # running jobs are counted in the store, but not for each request
_TAKING: Final = frozenset({WorkerStatus.IDLE, WorkerStatus.BUSY})


class QueueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. `at_broker` of the `waiting` ones wait there; `oldest_seconds` is for how long.

    `workers` serve it and take jobs, with so many slots in all. `declared`: new jobs may go there.
    """

    name: str
    declared: bool
    pause: QueuePause | None
    by_priority: Mapping[int, int]
    at_broker: int
    oldest_seconds: float | None
    running: int
    slots: int
    free: int
    workers: int
    rung: Rung

    @property
    def waiting(self) -> int:
        """All that wait."""
        return sum(self.by_priority.values())


class QueueFigures:
    """Answers from memory, but for what runs: that is at most FRESH_SECONDS old."""

    def __init__(
        self,
        state: ApiState,
        workers: Callable[[], Sequence[FleetEntry]],
        oldest_seconds: Callable[[str], float],
    ):
        self._state = state
        self._workers = workers
        self._oldest_seconds = oldest_seconds
        self._running: Mapping[str, int] = {}
        self._counted_at = float("-inf")
        self._counting = trio.Lock()

    async def all(self) -> Sequence[QueueEntry]:
        """By name: those that are declared, and those that something is in still."""
        running, waiting = await self._count_running(), self._waiting()
        for name in (*running, *self._state.pauses.queues):
            waiting.setdefault(name, {})
        workers = self._workers()
        return [
            self._entry(name, waiting[name], running.get(name, 0), workers)
            for name in sorted(waiting)
        ]

    async def one(self, name: str, *, known: bool = False) -> QueueEntry:
        """The queue of that name; raises NotFound where it is none, unless it is `known`."""
        running, waiting = await self._count_running(), self._waiting()
        if not (known or name in waiting or name in running or self._state.pauses.get(name)):
            raise undeclared(name, self._state.config.queues)
        return self._entry(name, waiting.get(name, {}), running.get(name, 0), self._workers())

    def _waiting(self) -> dict[str, dict[int, int]]:
        """By queue, the declared ones at least, and priority."""
        waiting: dict[str, dict[int, int]] = {name: {} for name in self._state.config.queues}
        for (name, _, priority), number in self._state.tally.counts().waiting.items():
            levels = waiting.setdefault(name, {})
            levels[priority] = levels.get(priority, 0) + number
        return waiting

    def _entry(
        self, name: str, levels: Mapping[int, int], running: int, workers: Sequence[FleetEntry]
    ) -> QueueEntry:
        state = self._state
        serving = [
            worker for worker in workers if name in worker.queues and worker.status in _TAKING
        ]
        at_broker = {} if state.broker is None else state.published.counts()
        return QueueEntry(
            name=name,
            declared=name in state.config.queues,
            pause=state.pauses.get(name),
            by_priority=dict(sorted(levels.items(), reverse=True)),
            at_broker=sum(max(n, 0) for (queue, _), n in at_broker.items() if queue == name),
            oldest_seconds=self._oldest_seconds(name) if any(levels.values()) else None,
            running=running,
            slots=sum(sum(worker.slots.values()) for worker in serving),
            free=sum(sum(worker.free.values()) for worker in serving),
            workers=len(serving),
            rung=state.queue.rung,
        )

    async def _count_running(self) -> Mapping[str, int]:
        async with self._counting:
            now = self._state.clock.monotonic()
            if now - self._counted_at >= FRESH_SECONDS:
                self._running = await self._state.queues.running()
                self._counted_at = now
            return self._running
