"""Procrastinate with PostgreSQL: a row a job, committed with synchronous_commit on."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.bench.peers.peer import PAYLOAD, Peer, Program, in_tasks, main, marker, sizes, told, url

PEER = Peer(
    name="Procrastinate",
    module="tests.bench.peers.procrastinate_peer",
    packages=("procrastinate", "psycopg[binary]"),
    server="postgresql",
    durable="row in PostgreSQL, committed and synced; outcomes are recorded in it too",
    bulk="batch_defer_async(): one statement for 500 jobs",
)
CONCURRENCY = 16


def make() -> tuple[Any, Any]:
    """The app and its task."""
    import procrastinate  # type: ignore[import-not-found]  # only in its own environment

    pool = {"conninfo": url(), "min_size": 4, "max_size": CONCURRENCY}
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(**pool))
    mark = marker()

    async def noop(**payload: Any) -> None:
        mark()

    return app, app.task(name="noop")(noop)


def worker() -> None:
    """Makes its schema, then works, woken by NOTIFY."""

    async def run() -> None:
        app, _ = make()
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            await app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=True)

    asyncio.run(run())


def single(jobs: int, submitters: int) -> None:
    """One transaction each."""

    async def run() -> None:
        app, task = make()
        async with app.open_async():
            await in_tasks(lambda: task.defer_async(**PAYLOAD), jobs, submitters)

    asyncio.run(run())


def bulk(jobs: int) -> None:
    """One transaction a batch."""

    async def run() -> None:
        app, task = make()
        async with app.open_async():
            began = time.monotonic()
            for size in sizes(jobs):
                await task.batch_defer_async(*[PAYLOAD] * size)
            told(began)

    asyncio.run(run())


if __name__ == "__main__":
    main(Program(worker, single, bulk))
