"""What goes in arrays comes back as it was; what many new jobs share is said once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
from databases.stores import opened
from msgspec.structs import replace

from hermesd.core.backoff import Backoff
from hermesd.core.errors import Unstorable
from hermesd.core.job import Job, Owner
from hermesd.core.records import Verdict
from hermesd.core.states import Move, State
from hermesd.stores.hot import HotRows
from hermesd.stores.order import OrderKeys
from hermesd.stores.postgres import binary
from hermesd.stores.postgres.hot import ready
from hermesd.stores.postgres.statements import INSERT_ALIKE, INSERT_ALL, INSERT_ONE
from hermesd.stores.rows import changing, identity
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene
from hermesd.testing.listing import all_ids


@pytest.fixture
async def scene(postgresql_url: str, clock: ManualClock) -> AsyncIterator[Scene]:
    """An empty store."""
    async with opened(postgresql_url, clock=clock) as store:
        yield Scene(store, clock)


def full(scene: Scene, number: int) -> Job:
    """A job with a value for nearly all that can have one, hard ones among them."""
    return scene.job(
        payload=msgspec.Raw(b'{"n": %d, "t": "\\u0000 \\" \xc3\xa9"}' % number),
        labels={"number": str(number), 'é"\\': "{},"},
        backoff=Backoff(seconds=1.5),
        timeout=0.000001 + number,
        trace_context=f"00-{number:032x}-{number:016x}-01" if number % 2 else None,
        limit_key="tenant:a" if number % 3 else None,
        state=State.RUNNING,
        lease=1,
        attempts=1,
        worker_id="w",
        incarnation="inc-1" if number % 2 else "inc-2",
        assigned_by="api",
    )


async def test_many_jobs_come_back_as_they_went_in(scene: Scene) -> None:
    """Each with its own, of several families at once."""
    await scene.living("inc-1")
    await scene.living("inc-2")
    jobs = [replace(full(scene, number), timeout=7.25) for number in range(40)]
    answers = await scene.submit(*jobs)
    assert statements_for([answer.job for answer in answers]) == {INSERT_ALIKE}
    for answer, job in zip(answers, jobs, strict=True):
        assert answer.job.payload == job.payload
        assert await scene.now(answer.job) == answer.job


async def test_jobs_that_share_little_come_back_too(scene: Scene) -> None:
    """They go as records."""
    await scene.living("inc-1")
    await scene.living("inc-2")
    answers = await scene.submit(*(full(scene, number) for number in range(40)))
    assert statements_for([answer.job for answer in answers]) == {INSERT_ALL}
    for answer in answers:
        assert await scene.now(answer.job) == answer.job


async def test_one_job_comes_back_as_it_went_in(scene: Scene) -> None:
    """It has a statement of its own, and so has its success."""
    await scene.living("inc-1")
    await scene.living("inc-2")
    for number, result in enumerate((None, b"1", b'{"t": "\\u0000 \xc3\xa9"}')):
        (answer,) = await scene.submit(full(scene, number))
        assert statements_for([answer.job]) == {INSERT_ONE}
        assert await scene.now(answer.job) == answer.job
        outcome = scene.outcome(answer.job, Move.SUCCEED, result=result)
        assert await scene.store.jobs.settle([outcome]) == [Verdict.RECORDED]
        ended = await scene.now(answer.job)
        assert (ended.state, ended.owner, ended.error) == (State.SUCCEEDED, Owner.NONE, None)
        assert (ended.result and bytes(ended.result)) == result
        assert (ended.finished_at, ended.updated_at) == (outcome.at, outcome.at)


async def test_one_success_that_hits_nothing_is_looked_into(scene: Scene) -> None:
    """By then the server has committed nothing."""
    await scene.living("inc-1")
    running = await scene.running()
    await scene.settle(running, Move.RELEASE)
    assert await scene.settle(running, Move.SUCCEED) is Verdict.DROPPED
    assert (await scene.now(running)).state is State.QUEUED
    assert await scene.settle(scene.job(lease=1), Move.SUCCEED) is Verdict.UNKNOWN
    ended = await scene.running()
    assert await scene.settle(ended, Move.SUCCEED) is Verdict.RECORDED
    assert await scene.settle(ended, Move.SUCCEED) is Verdict.DROPPED


async def test_changes_of_many_jobs_come_back_as_they_went_in(scene: Scene) -> None:
    """Each with its own: a value for all, for some, of several lengths, or for none."""
    await scene.living("inc-1")
    queued = [answer.job for answer in await scene.submit(*(scene.job() for _ in range(20)))]
    assignments = [
        replace(
            scene.assignment(job, Move.ASSIGN, "inc-1"),
            job=job,
            assigned_by="\u00e9" * (number % 3),
            at=scene.clock.utc() + number,
        )
        for number, job in enumerate(queued)
    ]
    running = [job for job in await scene.store.jobs.assign(assignments) if job is not None]
    assert [await scene.now(job) for job in running] == running
    assert [job.assigned_by for job in running] == [one.assigned_by for one in assignments]
    results = [None if number % 3 else b'{"n": "%d\xc3\xa9"}' % 10**number for number in range(20)]
    settlements = [
        replace(
            scene.outcome(job, Move.SUCCEED, result=result),
            started_at=None if result else job.started_at,
        )
        for job, result in zip(running, results, strict=True)
    ]
    assert await scene.store.jobs.settle(settlements) == [Verdict.RECORDED] * 20
    ended = [await scene.now(job) for job in running]
    assert [job.result and bytes(job.result) for job in ended] == results
    assert [job.started_at for job in ended] == [job.started_at for job in running]


async def test_an_assignment_that_cannot_be_stored_is_refused(scene: Scene) -> None:
    """Alone: of those that come with it each is stored."""
    await scene.living("inc-1")
    good, bad = [answer.job for answer in await scene.submit(scene.job(), scene.job())]
    found: dict[str, object] = {}

    async def assign(job: Job, api: str) -> None:
        one = replace(scene.assignment(job, Move.ASSIGN, "inc-1"), job=job, assigned_by=api)
        try:
            found[job.id] = await scene.store.jobs.assign([one])
        except Unstorable as error:
            found[job.id] = error

    async with trio.open_nursery() as nursery:
        nursery.start_soon(assign, good, "api")
        nursery.start_soon(assign, bad, "a\0b")
    assert isinstance(found[bad.id], Unstorable)
    assert found[good.id] == [await scene.now(good)]
    assert (await scene.now(bad)).state is State.QUEUED


@pytest.mark.parametrize(
    "fields",
    [{"type": "a\0b"}, {"labels": {"a": "\ud800"}}, {"queue": "\ud800"}, {"trace_context": "\0"}],
    ids=["shared", "own", "shared text", "own text"],
)
@pytest.mark.parametrize("count", [8, 1])
async def test_alike_jobs_that_cannot_be_stored_are_refused(
    scene: Scene, fields: dict[str, object], count: int
) -> None:
    """Whether what is wrong is said once or for each; nothing is stored."""
    with pytest.raises(Unstorable):
        await scene.submit(*(scene.job(**fields) for _ in range(count)))
    assert not await all_ids(scene.store.reader)
    assert (await scene.queued()).state is State.QUEUED


def test_numbers_of_more_than_64_bits_are_refused() -> None:
    """As an error of the encoder's."""
    for encode in (binary.int4, binary.int8, lambda one: binary.bigints([one])):
        with pytest.raises(OverflowError):
            encode(2**63)
    with pytest.raises(OverflowError):
        binary.bigints([None, 2**63])


def statements_for(jobs: list[Job]) -> set[str]:
    """Those that would insert such jobs."""
    rows = HotRows(OrderKeys(0))
    rows.born = [identity(job) + changing(job, 1) for job in jobs]
    return {one.statement for one in ready(rows)}
