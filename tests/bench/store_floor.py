"""How fast the SQLite store takes jobs in and records their outcomes, every commit synced.

Prints the time of one change alone, then inserts and outcomes by 128 concurrent callers, one job
a call, then in batches of 500. Run: python tests/bench/store_floor.py [seconds]
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import msgspec
import structlog
import trio

from hermesd.clock import SystemClock
from hermesd.core.fleet import Incarnation
from hermesd.core.job import Job, Token
from hermesd.core.outcome import Settlement
from hermesd.core.records import Submission, Verdict
from hermesd.core.states import Move, State
from hermesd.stores.sqlite import SqliteStore, open_sqlite

CALLERS = 128
PAYLOAD = msgspec.Raw(b'{"to":"someone@example.org","subject":"hello","n":12345}')


def running_job(number: int) -> Job:
    """A job as the direct path inserts it."""
    return Job(
        id=f"019a0000-{number >> 12 & 0xFFFF:04x}-7{number & 0xFFF:03x}-8000-{number:012x}",
        type="bench.echo",
        payload=PAYLOAD,
        state=State.RUNNING,
        attempts=1,
        lease=1,
        worker_id="worker-1",
        incarnation="inc-1",
        assigned_by="api",
    )


async def insert_and_settle(store: SqliteStore, numbers: range) -> None:
    """One submission and one report."""
    jobs = tuple(running_job(number) for number in numbers)
    await store.jobs.insert(Submission(jobs=jobs, keys=(None,) * len(jobs)))
    now = time.time()
    outcomes = [
        Settlement(
            token=Token(job.id, 1), move=Move.SUCCEED, at=now, result=b'{"ok":true}', started_at=now
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


async def main(seconds: float) -> None:
    """Measure in a fresh file and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_sqlite(
            Path(folder) / "bench.db",
            clock=SystemClock(),
            max_group=500,
            max_pending=20_000,
            busy_timeout_seconds=2.0,
            log=structlog.get_logger(),
        ) as store:
            await store.fleet.register(
                Incarnation(incarnation="inc-1", worker_id="worker-1", address="127.0.0.1:1")
            )
            numbers = count(1)
            begun = time.perf_counter()
            for _ in range(200):
                await insert_and_settle(store, range(first := next(numbers), first + 1))
            alone = (time.perf_counter() - begun) / 400
            print(f"one change alone           {alone * 1e6:10,.0f} µs")
            for batch, offset in ((1, 1_000_000), (500, 100_000)):
                jobs = await rate(store, count(offset), batch, seconds)
                stats = store.stats()
                print(
                    f"insert+settle, {batch:4} a call {jobs:10,.0f} jobs/s, {stats.commits} commits"
                )


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    trio.run(main, float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
