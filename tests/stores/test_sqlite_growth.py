"""The file and its log stay as large as what is kept needs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from hermesd.core.outcome import Settlement
from hermesd.core.states import Move
from hermesd.stores.backend import Part, Verb
from hermesd.stores.sqlite import SqliteStore
from hermesd.stores.sqlite.transaction import ROWS_A_PAGE, ROWS_IN_LOG, SqliteWriter
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene

JOBS = 200


@pytest.fixture
def scene(store: SqliteStore, clock: ManualClock) -> Scene:
    """A store on disk."""
    return Scene(store, clock)


async def a_round(scene: Scene, payload_bytes: int) -> list[str]:
    """The ids of jobs that were stored and ended."""
    payload = msgspec.Raw(b'"%s"' % (b"x" * payload_bytes))
    jobs = [await scene.running(payload=payload) for _ in range(JOBS)]
    outcomes: list[Settlement] = [scene.outcome(job, Move.FAIL, result=b"1") for job in jobs]
    await scene.store.jobs.settle(outcomes)
    return [job.id for job in jobs]


def pages(database: Path) -> int:
    """The size of the file, with what is in the log and was not copied back yet."""
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
    return int(count)


@pytest.mark.parametrize("payload_bytes", [100, 20_000])
async def test_the_room_of_purged_jobs_is_used_again(
    scene: Scene, database: Path, payload_bytes: int
) -> None:
    """With their events; so no vacuum is needed."""
    sizes = []
    for _ in range(5):
        ids = await a_round(scene, payload_bytes)
        assert await scene.store.jobs.purge(ids) == JOBS
        sizes.append(pages(database))
    assert sizes[-1] <= sizes[0] + 4


def test_purges_alone_have_the_log_copied_back(database: Path) -> None:
    """Each counts for its jobs: nothing else does while an api is idle."""
    writer = SqliteWriter(database, 5.0)
    ids = tuple(f"{number:04d}" for number in range(1000))
    purge = Part(verb=Verb.PURGE, items=(ids,), at=0.0)
    writer.tend_ahead()  # the first time it has another reason
    writer.tend()
    for _ in range(ROWS_IN_LOG * ROWS_A_PAGE // len(ids)):
        assert not writer.needs_tending()
        writer.commit([purge])
    assert writer.needs_tending()
    writer.tend_ahead()
    writer.tend()
    assert not writer.needs_tending()
    writer.close()
