"""The operator's orders to one job, and who is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from hermesd.api.operate import Aftermath, Operator
from hermesd.core.errors import IllegalMove, NotFound
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.states import State


class Notes:
    """What the operator told."""

    def __init__(self) -> None:
        self.cancelled: list[tuple[Job, Job]] = []
        self.requested: list[Job] = []
        self.queued: list[tuple[int, State, EventKind]] = []

    def aftermath(self) -> Aftermath:
        """Hooks that write it down."""
        return Aftermath(
            cancelled=lambda before, now: self.cancelled.append((before, now)),
            cancel_requested=self.requested.append,
            queued=lambda jobs, source, kind: self.queued.append((len(jobs), source, kind)),
            purged=lambda _: pytest.fail("nothing is purged here"),
        )


def operator(world: Any, notes: Notes) -> Operator:
    """An operator over the world's store."""
    return Operator(world.store.jobs, world.store.reader, world.services.ring, notes.aftermath())


async def test_whoever_holds_the_worker_is_told_of_a_cancel(world: Any) -> None:
    """Of a running job with the mark set; of a waiting one as it was and as it is."""
    notes = Notes()
    acting = operator(world, notes)
    running = await world.run((await world.submit())["id"])
    await acting.cancel(running.id)
    [asked] = notes.requested
    assert (asked.id, asked.cancel_requested) == (running.id, True)
    waiting = (await world.submit())["id"]
    await acting.cancel(waiting)
    [(before, now)] = notes.cancelled
    assert (before.state, now.state) == (State.QUEUED, State.CANCELLED)


async def test_the_feeder_is_told_of_a_retry(world: Any) -> None:
    """With the state that the job comes from."""
    notes = Notes()
    job_id = (await world.submit())["id"]
    await world.fail(job_id)
    await operator(world, notes).retry(job_id)
    assert notes.queued == [(1, State.FAILED, EventKind.REQUEUED)]


async def test_orders_that_cannot_be_carried_out_raise(world: Any) -> None:
    """NotFound for no job, IllegalMove for a state that does not allow it."""
    acting = operator(world, Notes())
    with pytest.raises(NotFound):
        await acting.cancel("nope")
    with pytest.raises(NotFound):
        await acting.retry("nope")
    job_id = (await world.submit())["id"]
    with pytest.raises(IllegalMove):
        await acting.retry(job_id)
    await acting.cancel(job_id)
    with pytest.raises(IllegalMove):
        await acting.cancel(job_id)
