"""The operator's orders in bulk, and who is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from hermesd.api.operate import CHUNK, Aftermath, Operator, Selection
from hermesd.core.errors import IllegalMove, NotFound
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.records import JobFilter
from hermesd.core.states import State


class Notes:
    """What the operator told."""

    def __init__(self) -> None:
        self.cancelled: list[tuple[Job, Job]] = []
        self.requested: list[Job] = []
        self.queued: list[tuple[int, State, EventKind]] = []
        self.purged: list[int] = []

    def aftermath(self) -> Aftermath:
        """Hooks that write it down."""
        return Aftermath(
            cancelled=lambda before, now: self.cancelled.append((before, now)),
            cancel_requested=self.requested.append,
            queued=lambda jobs, source, kind: self.queued.append((len(jobs), source, kind)),
            purged=self.purged.append,
        )


def operator(world: Any, notes: Notes) -> Operator:
    """An operator over the world's store."""
    return Operator(world.store.jobs, world.store.reader, world.services.ring, notes.aftermath())


async def dead(world: Any, number: int) -> list[str]:
    """So many failed jobs."""
    answer = await world.client.post("/jobs/batch", json={"jobs": [{"type": "any"}] * number})
    jobs = [job["id"] for job in answer.json()["jobs"]]
    for job_id in jobs:
        await world.fail(job_id)
    return jobs


async def test_more_than_a_chunk_is_requeued_in_chunks(world: Any) -> None:
    """Every job gets its new run, and the feeder is told after each chunk."""
    notes = Notes()
    jobs = await dead(world, CHUNK + 7)
    done = await operator(world, notes).requeue(Selection())
    assert done == (CHUNK + 7, CHUNK + 7)
    assert notes.queued == [
        (CHUNK, State.FAILED, EventKind.REQUEUED),
        (7, State.FAILED, EventKind.REQUEUED),
    ]
    assert {job.run for job in await world.store.reader.get_many(jobs)} == {2}


async def test_a_dry_run_changes_nothing(world: Any) -> None:
    """It counts only."""
    notes = Notes()
    await dead(world, 3)
    acting = operator(world, notes)
    assert await acting.requeue(Selection(), dry_run=True) == (3, 0)
    assert await acting.purge(Selection(), dry_run=True) == (3, 0)
    assert notes.queued == []
    assert await world.store.reader.count(JobFilter(states=(State.FAILED,))) == 3


async def test_a_selection_never_means_jobs_that_have_not_failed(world: Any) -> None:
    """Waiting and succeeded jobs are out of reach, by id or by filter."""
    notes = Notes()
    waiting = (await world.submit())["id"]
    acting = operator(world, notes)
    for selection in (
        Selection(ids=(waiting,)),
        Selection(wanted=JobFilter(states=(State.QUEUED,))),
    ):
        assert await acting.purge(selection) == (0, 0)
        assert await acting.requeue(selection) == (0, 0)


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
    [job_id] = await dead(world, 1)
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


async def test_whoever_counts_jobs_is_told_of_a_purge(world: Any) -> None:
    """The number of jobs that are gone is told after each chunk."""
    notes = Notes()
    await dead(world, 3)
    assert await operator(world, notes).purge(Selection()) == (3, 3)
    assert notes.purged == [3]
