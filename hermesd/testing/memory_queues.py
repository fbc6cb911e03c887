"""Named queues in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import trio
from msgspec.structs import replace

from hermesd.core.orders import QueuePause
from hermesd.core.states import State
from hermesd.core.words import Place
from hermesd.ports import Clock
from hermesd.stores.micros import whole
from hermesd.testing.memory_contents import Contents


class MemoryQueues:
    """Queues; see `ports.Queues`."""

    def __init__(self, contents: Contents, clock: Clock) -> None:
        self._held = contents
        self._clock = clock
        self._pauses: dict[str, QueuePause] = {}

    async def pause(self, queue: str, *, reason: str, by: str) -> QueuePause:
        """The pause as it is kept."""
        await trio.lowlevel.checkpoint()
        known = self._pauses.get(queue) or QueuePause(queue=queue, since=whole(self._clock.utc()))
        pause = self._pauses[queue] = replace(known, reason=reason, by=by)
        return pause

    async def resume(self, queue: str) -> bool:
        """True if it was paused."""
        await trio.lowlevel.checkpoint()
        return self._pauses.pop(queue, None) is not None

    async def paused(self) -> Sequence[QueuePause]:
        """By name."""
        await trio.lowlevel.checkpoint()
        return [self._pauses[queue] for queue in sorted(self._pauses)]

    async def running(self) -> Mapping[str, int]:
        """By queue."""
        await trio.lowlevel.checkpoint()
        jobs = self._held.jobs.values()
        return Counter(job.queue for job in jobs if job.state is State.RUNNING)

    async def oldest(self, places: Sequence[Place]) -> Mapping[Place, float]:
        """By place, in UTC seconds."""
        await trio.lowlevel.checkpoint()
        waiting = [job for job in self._held.jobs.values() if job.state is State.QUEUED]
        found: dict[Place, float] = {}
        for job in waiting:
            place = (job.queue, job.type, job.priority)
            if place in places and job.enqueued_at is not None:
                found[place] = min(found.get(place, job.enqueued_at), job.enqueued_at)
        return found
