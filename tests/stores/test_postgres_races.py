"""Several stores on one database: what only one may have is had by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import msgspec
import pytest
import trio
from databases.stores import opened

from hermesd.core.job import Job
from hermesd.core.records import ClaimVerdict, JobFilter
from hermesd.core.states import Move, State
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene
from hermesd.testing.listing import all_ids

JOBS = 200
STORES = 3


@pytest.fixture
async def scenes(postgresql_url: str, clock: ManualClock) -> AsyncIterator[list[Scene]]:
    """One for each of several stores on the same database."""
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(opened(postgresql_url, clock=clock, utc=clock.utc))
            for _ in range(STORES)
        ]
        yield [Scene(store, clock) for store in stores]


async def at_once(scenes: list[Scene], call: Callable[[Scene], Awaitable[None]]) -> None:
    """The same by all of them."""
    async with trio.open_nursery() as nursery:
        for scene in scenes:
            nursery.start_soon(call, scene)


async def many(scene: Scene, **fields: object) -> list[Job]:
    """Stored together."""
    return [one.job for one in await scene.submit(*(scene.job(**fields) for _ in range(JOBS)))]


@pytest.mark.parametrize("known", [True, False], ids=["as it was read", "by its token"])
async def test_each_job_is_assigned_once(scenes: list[Scene], known: bool) -> None:
    """Whoever comes second is told None, in groups of which some are granted and some are not."""
    jobs = await many(scenes[0])
    await scenes[0].living("inc-1")
    granted: list[str] = []

    async def assign(scene: Scene) -> None:
        turned = jobs if scene is scenes[0] else jobs[::-1]
        for start in range(0, JOBS, 20):
            orders = [scene.assignment(job, Move.ASSIGN, "inc-1") for job in turned[start:][:20]]
            if known:
                orders = [
                    msgspec.structs.replace(order, job=job)
                    for order, job in zip(orders, turned[start:], strict=False)
                ]
            answers = await scene.store.jobs.assign(orders)
            granted.extend(answer.id for answer in answers if answer is not None)

    await at_once(scenes, assign)
    assert Counter(granted) == Counter(job.id for job in jobs)


async def test_each_message_is_claimed_once(scenes: list[Scene]) -> None:
    """By one of the workers, whichever api it asks."""
    jobs = await many(scenes[0])
    granted: list[str] = []

    async def claim(scene: Scene) -> None:
        name = f"inc-{scenes.index(scene)}"
        await scene.living(name)
        claims = [await scene.claim(job, incarnation=name) for job in jobs]
        answers = await scene.store.jobs.claim(claims)
        granted.extend(
            answer.job.id
            for answer in answers
            if answer.verdict is ClaimVerdict.GRANTED and answer.job
        )

    await at_once(scenes, claim)
    assert Counter(granted) == Counter(job.id for job in jobs)


async def test_each_due_job_is_released_once(scenes: list[Scene]) -> None:
    """Nobody waits for another's: each takes what is free."""
    now = scenes[0].clock.utc()
    jobs = await many(scenes[0], state=State.SCHEDULED, run_at=now + 1)
    scenes[0].clock.advance(2)
    released: list[str] = []

    async def release(scene: Scene) -> None:
        while await scene.store.jobs.next_due() is not None:
            released.extend(job.id for job in await scene.store.jobs.release_due(7))

    await at_once(scenes, release)
    assert Counter(released) == Counter(job.id for job in jobs)
    assert {job.lease for job in await scenes[0].store.reader.get_many(released)} == {1}


async def test_each_orphan_is_released_once(scenes: list[Scene]) -> None:
    """As the due ones."""
    fields = {"state": State.RUNNING, "lease": 1, "attempts": 1, "incarnation": "gone"}
    jobs = await many(scenes[0], **fields)
    released: list[str] = []

    async def release(scene: Scene) -> None:
        while len(await all_ids(scene.store.reader, JobFilter(states=(State.RUNNING,)))):
            released.extend(job.id for job in await scene.store.jobs.release_orphans(7))

    await at_once(scenes, release)
    assert Counter(released) == Counter(job.id for job in jobs)


async def test_each_outcome_is_recorded_once(scenes: list[Scene]) -> None:
    """Reported to several apis at once, in different orders: crosswise locks are no fault."""
    await scenes[0].living("inc-1")
    fields = {"state": State.RUNNING, "lease": 1, "attempts": 1, "incarnation": "inc-1"}
    jobs = await many(scenes[0], **fields)
    verdicts: Counter[str] = Counter()

    async def report(scene: Scene) -> None:
        turned = jobs if scene is scenes[0] else jobs[::-1]
        for start in range(0, JOBS, 10):
            move = Move.SUCCEED if start % 20 else Move.RETRY
            outcomes = [scene.outcome(job, move) for job in turned[start:][:10]]
            verdicts.update(await scene.store.jobs.settle(outcomes))

    await at_once(scenes, report)
    assert verdicts["recorded"] == JOBS
    assert verdicts.total() == JOBS * STORES


async def test_a_key_makes_one_job(scenes: list[Scene]) -> None:
    """Submitted at several apis at once, all answer the same one."""
    found: dict[str, set[str]] = {}

    async def submit(scene: Scene) -> None:
        for number in range(30):
            name = f"key-{number}"
            fresh = scene.job(id=f"{scenes.index(scene)}-{number}")
            (answer,) = await scene.submit(fresh, keys=[scene.key(name)])
            found.setdefault(name, set()).add(answer.job.id)

    await at_once(scenes, submit)
    assert {len(ids) for ids in found.values()} == {1}
    assert len(await all_ids(scenes[0].store.reader)) == 30


async def test_each_ended_job_is_purged_once(scenes: list[Scene]) -> None:
    """The numbers add up."""
    jobs = await many(scenes[0])
    for job in jobs[:50]:
        await scenes[0].store.jobs.cancel(job.id)
    purged: list[int] = []

    async def purge(scene: Scene) -> None:
        purged.append(await scene.store.jobs.purge([job.id for job in jobs]))

    await at_once(scenes, purge)
    assert sum(purged) == 50
    assert len(await all_ids(scenes[0].store.reader)) == JOBS - 50


async def test_silence_is_fenced_by_one(scenes: list[Scene]) -> None:
    """And being heard at any api counts for all."""
    await scenes[0].living("silent")
    await scenes[0].living("heard")
    scenes[0].clock.advance(20)
    await scenes[1].store.fleet.heard(["heard"])
    fenced: list[tuple[str, bool]] = []

    async def fence(scene: Scene) -> None:
        for name in ("silent", "heard"):
            done = await scene.store.fleet.fence(name, silent_for_seconds=15)
            fenced.append((name, done))

    await at_once(scenes, fence)
    assert Counter(fenced) == {("silent", True): 1, ("silent", False): 2, ("heard", False): 3}


async def test_what_waits_stands_in_one_order(scenes: list[Scene]) -> None:
    """The places that several apis give out are by one clock."""
    ids = []
    for number in range(12):
        scene = scenes[number % STORES]
        scene.clock.advance(0.001)
        ids.append((await scene.queued(id=f"job-{number:02d}")).id)
    for scene in scenes:
        assert await scene.waiting() == ids
