"""Who carries out orders in bulk, and the jobs that they are about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from msgspec.structs import replace

from hermesd.api import bulk
from hermesd.api.bulk import Bulk, Done, Order
from hermesd.api.operate import Aftermath
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.states import State
from hermesd.testing.outages import UnsteadyJobs

PLENTY = 1_000_000


class Notes:
    """What was told of what is committed."""

    def __init__(self) -> None:
        self.cancelled: list[State] = []
        self.requested: list[Job] = []
        self.queued: list[tuple[int, State, EventKind]] = []
        self.purged: list[int] = []

    def aftermath(self) -> Aftermath:
        """Hooks that write it down."""
        return Aftermath(
            cancelled=lambda before, now: self.cancelled.append(before.state),
            cancel_requested=self.requested.append,
            queued=lambda jobs, source, kind: self.queued.append((len(jobs), source, kind)),
            purged=self.purged.append,
        )


class Office:
    """Orders over the world's store; `room` can be set."""

    def __init__(self, world: Any) -> None:
        self.notes = Notes()
        self.room = PLENTY
        self.jobs = UnsteadyJobs(world.store.jobs)
        self._world = world
        self.told(self.notes.aftermath().queued)

    def told(self, queued: Callable[[Sequence[Job], State, EventKind], None]) -> None:
        """From now on this is told of jobs that are queued."""
        self.bulk = Bulk(
            self.jobs,
            self._world.store.reader,
            self._world.services.clock,
            self._world.services.ring,
            self.notes.aftermath()._replace(queued=queued),
            lambda: self.room,
        )

    @asynccontextmanager
    async def slow_store(self, part: float) -> AsyncIterator[None]:
        """Inside, the store's first answer takes that part of the time that an order has."""
        answered = self.jobs.after = trio.Event()

        async def answer_late() -> None:
            await trio.sleep(bulk.MAX_SECONDS * part)
            answered.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_late)
            yield


async def waiting(world: Any, number: int, **members: Any) -> list[str]:
    """So many queued jobs, in the order of their ids."""
    jobs = [{"type": "any", **members}] * number
    answer = await world.client.post("/jobs/batch", json={"jobs": jobs})
    return sorted(job["id"] for job in answer.json()["jobs"])


async def dead(world: Any, number: int) -> list[str]:
    """So many failed jobs, in the order of their ids."""
    jobs = await waiting(world, number)
    for job_id in jobs:
        await world.fail(job_id)
    return jobs


async def states(world: Any, ids: Sequence[str]) -> list[State]:
    """Those of jobs, in the order of their ids."""
    jobs = await world.store.reader.get_many(ids)
    return [job.state for job in sorted(jobs, key=lambda job: job.id)]


async def in_parts(act: Callable[[Order], Awaitable[Done]], order: Order) -> list[Done]:
    """The order to its end, part by part."""
    parts = [await act(order)]
    while parts[-1].cursor is not None:
        parts.append(await act(replace(order, cursor=parts[-1].cursor)))
    return parts
