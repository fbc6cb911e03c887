"""How fast the SQLite store takes jobs in and records their outcomes, every commit synced.

    python -m tests.bench.store_floor [seconds]

One change alone; then inserts and outcomes by 128 concurrent callers, one job a call; then by 4 in
batches of 500. No HTTP, no worker: what is left is the group commit.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec
import structlog
import trio

from hermesd.clock import SystemClock
from hermesd.core.fleet import Incarnation
from hermesd.core.job import Job, Owner, Rung, Token
from hermesd.core.outcome import Settlement
from hermesd.core.records import Submission, Verdict
from hermesd.core.states import Move, State
from hermesd.stores.sqlite import SqliteStore, open_sqlite

CALLERS = 128
ALONE = 200
PAYLOAD = msgspec.Raw(b'{"to":"user@example.com","body":"%s"}' % (b"hello " * 10))


@dataclass(frozen=True)
class StoreFloor:
    """Microseconds of one change, and jobs a second inserted and settled."""

    alone_us: float
    singles: float
    batches: float


def running_job(number: int) -> Job:
    """A job as the direct path inserts it."""
    now = time.time()
    return Job(
        id=f"019a0000-{number >> 12 & 0xFFFF:04x}-7{number & 0xFFF:03x}-8000-{number:012x}",
        type="noop",
        payload=PAYLOAD,
        state=State.RUNNING,
        owner=Owner.INCARNATION,
        rung=Rung.PUSH,
        attempts=1,
        lease=1,
        worker_id="worker-1",
        incarnation="inc-1",
        assigned_by="api",
        created_at=now,
        updated_at=now,
        enqueued_at=now,
    )


async def insert_and_settle(store: SqliteStore, numbers: range) -> None:
    """One submission and one report."""
    jobs = tuple(running_job(number) for number in numbers)
    await store.jobs.insert(Submission(jobs=jobs, keys=(None,) * len(jobs)))
    now = time.time()
    outcomes = [
        Settlement(
            token=Token(job.id, 1), move=Move.SUCCEED, at=now, result=b"null", started_at=now
        )
        for job in jobs
    ]
    verdicts = await store.jobs.settle(outcomes)
    assert all(verdict is Verdict.RECORDED for verdict in verdicts)


async def rate(store: SqliteStore, numbers: count[int], batch: int, seconds: float) -> float:
    """Jobs a second, inserted and settled, by CALLERS callers of `batch` jobs each."""
    end = trio.current_time() + seconds
    done = 0

    async def caller() -> None:
        nonlocal done
        while trio.current_time() < end:
            first = next(numbers) * batch
            await insert_and_settle(store, range(first, first + batch))
            done += batch

    begun = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(max(CALLERS // batch, 4)):
            nursery.start_soon(caller)
    return done / (time.perf_counter() - begun)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    """A store as an api opens it, with the incarnation that the jobs name."""
    warnings_only = structlog.make_filtering_bound_logger(logging.WARNING)
    async with open_sqlite(
        path,
        clock=SystemClock(),
        max_group=500,
        max_pending=20_000,
        busy_timeout_seconds=2.0,
        log=structlog.wrap_logger(structlog.PrintLogger(), wrapper_class=warnings_only),
    ) as store:
        await store.fleet.register(
            Incarnation(incarnation="inc-1", worker_id="worker-1", address="127.0.0.1:1")
        )
        yield store


async def _measure(seconds: float) -> StoreFloor:
    with tempfile.TemporaryDirectory(prefix="hermesd-bench-") as folder:
        async with opened(Path(folder) / "bench.db") as store:
            numbers = count(1)
            begun = time.perf_counter()
            for _ in range(ALONE):
                await insert_and_settle(store, range(first := next(numbers), first + 1))
            alone = (time.perf_counter() - begun) / (ALONE * 2)
            singles = await rate(store, count(1_000_000), 1, seconds)
            batches = await rate(store, count(100_000), 500, seconds)
    return StoreFloor(alone_us=alone * 1e6, singles=singles, batches=batches)


def measured(seconds: float) -> StoreFloor:
    """Measure in a fresh file, so many seconds each way."""
    return trio.run(_measure, seconds)


if __name__ == "__main__":
    floor = measured(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
    print(f"one change alone             {floor.alone_us:10,.0f} µs")
    print(f"insert and outcome, 1 a call {floor.singles:10,.0f} jobs/s")
    print(f"the same, 500 a call         {floor.batches:10,.0f} jobs/s")
