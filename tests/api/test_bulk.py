"""Orders in bulk, part by part, and who is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from office import PLENTY, Office, dead, in_parts, states, waiting

from hermesd.api import bulk
from hermesd.api.bulk import CHUNK, MAX_CHUNK_BYTES, ROWS, Done, Order, Place, first_chunk
from hermesd.core.errors import InvalidValue, StoreUnavailable
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.records import JobFilter
from hermesd.core.searches import Found
from hermesd.core.states import State

NAMED = Place("a", "~").cursor()  # of an order that names its jobs


@pytest.fixture
def office(world: Any) -> Office:
    """One for each test."""
    return Office(world)


async def test_more_than_a_chunk_is_requeued_in_chunks(world: Any, office: Office) -> None:
    """Every job gets its new run, and the feeder is told after each chunk."""
    jobs = await dead(world, CHUNK + 7)
    assert await office.bulk.requeue(Order()) == Done(CHUNK + 7, CHUNK + 7)
    assert office.notes.queued == [
        (CHUNK, State.FAILED, EventKind.REQUEUED),
        (7, State.FAILED, EventKind.REQUEUED),
    ]
    assert {job.run for job in await world.store.reader.get_many(jobs)} == {2}


async def test_an_order_is_done_in_parts_whatever_comes_meanwhile(
    world: Any, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job once, and none that was made after the first part."""
    monkeypatch.setattr(bulk, "MAX_CHANGED", 1)
    monkeypatch.setattr(bulk, "ROWS", 3)
    monkeypatch.setattr(bulk, "CHUNK", 2)
    jobs = await dead(world, 8)
    cursor: str | None = None
    changed = []
    for _ in range(20):
        part = await office.bulk.requeue(Order(cursor=cursor))
        changed.append(part.changed)
        for job_id, state in zip(jobs, await states(world, jobs), strict=True):
            if state is State.QUEUED:
                await world.fail(job_id)
        await dead(world, 1)
        cursor = part.cursor
        if cursor is None:
            break
    assert cursor is None
    assert sum(changed) == 8
    assert {job.run for job in await world.store.reader.get_many(jobs)} == {2}


async def test_a_part_ends_in_time(world: Any, office: Office, autojump_clock: Any) -> None:
    """A store that takes seconds for each chunk is not waited for until all is done."""
    await dead(world, 3 * CHUNK)
    async with office.slow_store(0.6):
        part = await office.bulk.requeue(Order())
    assert (part.matched, part.changed, part.cursor is not None) == (CHUNK, CHUNK, True)


async def test_the_queue_is_not_filled_up(world: Any, office: Office) -> None:
    """What has no room is held back, and done when there is some."""
    jobs = await dead(world, 5)
    office.room = 2
    counted = office.notes.aftermath().queued

    def queued(jobs: Sequence[Job], source: State, kind: EventKind) -> None:
        office.room -= len(jobs)
        counted(jobs, source, kind)

    office.told(queued)
    first = await office.bulk.requeue(Order())
    assert (first.changed, first.held_back) == (2, True)
    none = await office.bulk.requeue(Order(cursor=first.cursor))
    assert (none.matched, none.held_back) == (0, True)
    office.room = 10
    rest = await office.bulk.requeue(Order(cursor=none.cursor))
    assert rest == Done(3, 3)
    assert await states(world, jobs) == [State.QUEUED] * 5


async def test_a_dry_run_changes_nothing(world: Any, office: Office) -> None:
    """It counts only, of everything that an order can be."""
    jobs = await dead(world, 3)
    for order in (office.bulk.requeue, office.bulk.purge, office.bulk.retry):
        assert await order(Order(dry_run=True)) == Done(3)
        assert await order(Order(ids=(*jobs[:2], "nope"), dry_run=True)) == Done(2)
    assert await office.bulk.cancel(Order(dry_run=True)) == Done()
    assert await states(world, jobs) == [State.FAILED] * 3


async def test_a_dry_run_counts_in_parts_too(
    world: Any, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded as well."""
    monkeypatch.setattr(bulk, "MAX_COUNTED", 2)
    monkeypatch.setattr(bulk, "ROWS", 2)
    await dead(world, 5)
    counts = []
    part = await office.bulk.purge(Order(dry_run=True))
    while part.cursor is not None:
        counts.append(part.matched)
        part = await office.bulk.purge(Order(dry_run=True, cursor=part.cursor))
    assert [*counts, part.matched] == [2, 2, 1]


async def test_an_order_never_means_jobs_in_other_states(world: Any, office: Office) -> None:
    """By id or by filter."""
    [live] = await waiting(world, 1)
    [failed] = await dead(world, 1)
    for order in (Order(ids=(live,)), Order(wanted=JobFilter(types=("any",)))):
        for act in (office.bulk.requeue, office.bulk.purge):
            done = await act(replace(order, dry_run=True))
            assert done.matched == (0 if order.ids else 1)
    done = await office.bulk.cancel(Order(ids=(failed, "nope")))
    assert done == Done(0, 0, 2)
    assert await states(world, [live, failed]) == [State.QUEUED, State.FAILED]


async def test_scheduled_jobs_are_made_due_where_they_are_named(world: Any, office: Office) -> None:
    """A retry of everything leaves them alone; each kind is told with where it comes from."""
    [later] = await waiting(world, 1, delay=3600)
    [failed] = await dead(world, 1)
    assert await office.bulk.retry(Order(dry_run=True)) == Done(1)
    both = (State.SCHEDULED, State.FAILED)
    assert await office.bulk.retry(Order(wanted=JobFilter(states=both))) == Done(2, 2)
    assert sorted(office.notes.queued) == [
        (1, State.FAILED, EventKind.REQUEUED),
        (1, State.SCHEDULED, EventKind.DUE),
    ]
    assert await states(world, [later, failed]) == [State.QUEUED] * 2


async def test_whatever_lives_is_cancelled(world: Any, office: Office) -> None:
    """Waiting ones at once; a running one is asked, and asked once."""
    ids = await waiting(world, 3) + await waiting(world, 1, delay=60)
    running = await world.run(ids[0])
    assert await office.bulk.cancel(Order()) == Done(4, 4)
    assert [job.id for job in office.notes.requested] == [running.id]
    assert sorted(office.notes.cancelled) == [State.QUEUED, State.QUEUED, State.SCHEDULED]
    assert await office.bulk.cancel(Order()) == Done(1, 0, 1)


async def test_states_that_an_order_is_not_for_are_refused(office: Office) -> None:
    """With those that it is for."""
    with pytest.raises(InvalidValue, match="failed, scheduled ones can"):
        await office.bulk.retry(Order(wanted=JobFilter(states=(State.RUNNING,))))
    with pytest.raises(InvalidValue, match="succeeded cannot be cancelled"):
        await office.bulk.cancel(Order(wanted=JobFilter(states=(State.SUCCEEDED,))))


async def test_what_was_done_before_a_fault_is_told(world: Any, office: Office) -> None:
    """Then the next part begins with what failed; a fault of the first chunk is the answer."""
    jobs = await dead(world, CHUNK + 3)
    told = office.notes.aftermath().queued

    def then_away(jobs: Sequence[Job], source: State, kind: EventKind) -> None:
        told(jobs, source, kind)
        office.jobs.down = True

    office.told(then_away)
    part = await office.bulk.requeue(Order())
    assert (part.matched, part.changed, part.skipped) == (CHUNK, CHUNK, 0)
    with pytest.raises(StoreUnavailable):
        await office.bulk.requeue(Order(cursor=part.cursor))
    office.jobs.down = False
    assert await office.bulk.requeue(Order(cursor=part.cursor)) == Done(3, 3)
    assert {job.run for job in await world.store.reader.get_many(jobs)} == {2}


async def test_what_nobody_answered_is_no_cursor(office: Office) -> None:
    """Nor one of a listing, nor one beside ids."""
    for cursor in ("", "x", "ajE6YWJj", Place("a", "b").cursor()[:-4]):
        with pytest.raises(InvalidValue, match="cursor"):
            await office.bulk.purge(Order(cursor=cursor))
    for wrong in (Order(ids=("a",), cursor=Place("a", "b").cursor()), Order(cursor=NAMED)):
        with pytest.raises(InvalidValue, match="meant other jobs"):
            await office.bulk.purge(wrong)


async def test_names_that_no_job_can_have_are_refused(office: Office) -> None:
    """And too many of them."""
    with pytest.raises(InvalidValue, match="at most 10000"):
        await office.bulk.purge(Order(ids=tuple(map(str, range(10_001)))))
    for wrong in ("\0", "x" * 101, "ä"):
        with pytest.raises(InvalidValue, match=r"ids\[1\]"):
            await office.bulk.purge(Order(ids=("a", wrong)))


async def test_named_jobs_are_done_in_parts_too(
    world: Any, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, those that cannot be changed are skipped once, and the dry run counts likewise."""
    monkeypatch.setattr(bulk, "MAX_CHANGED", 1)
    monkeypatch.setattr(bulk, "MAX_COUNTED", 1)
    monkeypatch.setattr(bulk, "ROWS", 2)
    monkeypatch.setattr(bulk, "CHUNK", 2)
    jobs = await dead(world, 5)
    ids = (*reversed(jobs), jobs[0], "a/b", "~", *await waiting(world, 2))
    counted = await in_parts(office.bulk.requeue, Order(ids=ids, dry_run=True))
    assert (sum(part.matched for part in counted), len(counted) > 1) == (5, True)
    assert await states(world, jobs) == [State.FAILED] * 5
    parts = await in_parts(office.bulk.requeue, Order(ids=ids))
    assert all(part.changed <= 2 for part in parts)
    assert [sum(column) for column in zip(*(part[:3] for part in parts), strict=True)] == [5, 5, 4]
    assert {job.run for job in await world.store.reader.get_many(jobs)} == {2}


async def test_named_jobs_too_wait_for_room_and_end_in_time(
    world: Any, office: Office, autojump_clock: Any
) -> None:
    """The depth of the queue, and the time of a request, bound them as they bound a filter."""
    jobs = await dead(world, CHUNK + 3)
    office.room = 2
    counted = office.notes.aftermath().queued

    def queued(jobs: Sequence[Job], source: State, kind: EventKind) -> None:
        office.room -= len(jobs)
        counted(jobs, source, kind)

    office.told(queued)
    first = await office.bulk.retry(Order(ids=tuple(jobs)))
    assert (first.changed, first.skipped, first.held_back) == (2, 0, True)
    office.room = PLENTY
    async with office.slow_store(2):
        late = await office.bulk.retry(Order(ids=tuple(jobs), cursor=first.cursor))
    assert (late.changed, late.skipped, late.cursor is not None) == (CHUNK, 0, True)
    assert await office.bulk.retry(Order(ids=tuple(jobs), cursor=late.cursor)) == Done(1, 1)


async def test_whoever_counts_jobs_is_told_of_a_purge(world: Any, office: Office) -> None:
    """The number of jobs that are gone is told after each chunk."""
    await dead(world, 3)
    assert await office.bulk.purge(Order()) == Done(3, 3)
    assert office.notes.purged == [3]


def test_a_chunk_is_of_so_many_bytes_at_most() -> None:
    """But of one job at least."""
    big = [Found(id=str(n), state=State.FAILED, size_bytes=MAX_CHUNK_BYTES // 3) for n in range(9)]
    assert len(first_chunk(big, CHUNK)) == 3
    huge = [Found(id="a", state=State.FAILED, size_bytes=MAX_CHUNK_BYTES + 1)] * 2
    assert len(first_chunk(huge, CHUNK)) == 1
    small = [Found(id="a", state=State.FAILED)] * ROWS
    assert len(first_chunk(small, CHUNK)) == CHUNK
