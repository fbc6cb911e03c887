"""Huey with SQLite, every commit synced: the submitter writes the file itself."""

from __future__ import annotations

import time
from typing import Any

from tests.bench.peers.peer import PAYLOAD, Peer, Program, in_threads, main, marker, told, url

PEER = Peer(
    name="Huey",
    module="tests.bench.peers.huey_peer",
    packages=("huey",),
    server="",
    durable="row in a SQLite file in the submitter's process, synced; lost if its worker is killed",
    bulk="has none: one commit a job",
)


def make() -> tuple[Any, Any]:
    """The queue and its task."""
    from huey import SqliteHuey  # type: ignore[import-not-found]  # only in its own environment

    queue = SqliteHuey("bench", filename=url(), fsync=True, journal_mode="wal", results=True)
    mark = marker()

    def noop(payload: dict[str, Any]) -> None:
        mark()

    return queue, queue.task(name="noop")(noop)


def worker() -> None:
    """One thread; more of them wait for the same file. It looks again after a millisecond."""
    queue, _ = make()
    queue.create_consumer(
        workers=1, worker_type="thread", initial_delay=0.001, max_delay=0.01, periodic=False
    ).run()


def single(jobs: int, submitters: int) -> None:
    """One commit each."""
    _, task = make()
    in_threads(lambda: task(PAYLOAD), jobs, submitters)


def bulk(jobs: int) -> None:
    """The same from one thread."""
    _, task = make()
    began = time.monotonic()
    for _ in range(jobs):
        task(PAYLOAD)
    told(began)


if __name__ == "__main__":
    main(Program(worker, single, bulk))
