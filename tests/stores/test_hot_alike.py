"""Many changes alike, of which one statement says once what they share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from hermesd.core.records import Verdict, Waiting
from hermesd.core.states import Move, State
from hermesd.stores.sqlite import SqliteStore
from hermesd.stores.sqlite.alike import FEWEST_ALIKE
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene

Opener = Callable[..., AbstractAsyncContextManager[SqliteStore]]


async def test_many_alike_of_several_kinds_come_back_as_they_went_in(
    opener: Opener, clock: ManualClock
) -> None:
    """What is said once for many is each one's: born, assigned and ended, with places in order."""
    async with opener() as store:
        scene = Scene(store, clock)
        await scene.living("inc-1")
        kinds: list[dict[str, Any]] = [{}, {"priority": 7}, {"labels": {"a": "ü"}}]
        payloads = [msgspec.Raw(b'{"n":"\\u00fc %d"}' % n) for n in range(15)]
        asked = [scene.job(payload=each, **kinds[n % 3]) for n, each in enumerate(payloads)]
        far = 20_000_000_000.0  # 17 digits of microseconds
        asked += [scene.job(created_at=far, updated_at=far, enqueued_at=far) for _ in range(4)]
        jobs = [one.job for one in await scene.submit(*asked)]
        assert [await scene.now(job) for job in jobs] == jobs
        waiting = Waiting(pairs=((jobs[0].queue, jobs[0].type),), limit=99, most_bytes=9999)
        head = (await store.jobs.waiting(waiting)).jobs
        assert list(head) == sorted(jobs, key=lambda job: -job.priority)
        orders = [
            msgspec.structs.replace(scene.assignment(job, Move.ASSIGN, "inc-1"), job=job)
            for job in jobs
        ]
        running = [job for job in await store.jobs.assign(orders) if job is not None]
        assert [await scene.now(job) for job in jobs] == running
        results = [b'{"r":%d}' % (n % 2) for n in range(19)]
        ends = [
            msgspec.structs.replace(scene.outcome(job, Move.SUCCEED), result=result)
            for job, result in zip(running, results, strict=True)
        ]
        assert await store.jobs.settle(ends) == [Verdict.RECORDED] * 19
        now = [await scene.now(job) for job in jobs]
        assert [job.result and bytes(job.result) for job in now] == results
        assert {(job.state, job.finished_at, job.started_at) for job in now} == {
            (State.SUCCEEDED, ends[0].at, running[0].started_at)
        }


async def test_an_old_token_among_many_alike_fails_alone(
    opener: Opener, clock: ManualClock
) -> None:
    """One statement for all of them would be undone, and each is looked at."""
    async with opener() as store:
        scene = Scene(store, clock)
        await scene.living("inc-1")
        running = [await scene.running() for _ in range(FEWEST_ALIKE + 1)]
        await scene.settle(running[1], Move.RELEASE)
        ends = [scene.outcome(job, Move.SUCCEED) for job in running]
        expected = [Verdict.RECORDED] * len(running)
        expected[1] = Verdict.DROPPED
        assert await store.jobs.settle(ends) == expected
        waiting = [await scene.queued() for _ in range(FEWEST_ALIKE + 1)]
        await store.jobs.cancel(waiting[2].id)
        orders = [
            msgspec.structs.replace(scene.assignment(job, Move.ASSIGN, "inc-1"), job=job)
            for job in waiting
        ]
        given = await store.jobs.assign(orders)
        assert [job is None for job in given] == [n == 2 for n in range(len(waiting))]
