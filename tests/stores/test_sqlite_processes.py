"""The SQLite store between processes: one holds it, and a killed one leaves whole submissions."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.stores.sqlite import SqliteStore
from hermesd.testing.clock import ManualClock
from hermesd.testing.listing import all_ids

Opener = Callable[..., AbstractAsyncContextManager[SqliteStore]]

OPEN = """
import sys, structlog, trio
from hermesd.clock import SystemClock
from hermesd.stores.sqlite import open_sqlite
from hermesd.testing.conformance import Scene
def opened(path):
    return open_sqlite(path, clock=SystemClock(), max_group=500, max_pending=9999,
                       busy_timeout_seconds=5.0, log=structlog.get_logger())
"""

HOLD = (
    OPEN
    + """
async def main():
    async with opened(sys.argv[1]):
        print("open", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
trio.run(main)
"""
)

WRITE = (
    OPEN
    + """
async def write(scene, caller):
    number = 0
    while True:
        number += 1
        batch = {"batch": f"{caller}/{number}"}
        answers = await scene.submit(*(scene.job(labels=batch) for _ in range(5)))
        print(*(answer.job.id for answer in answers), flush=True)
async def main():
    async with opened(sys.argv[1]) as store, trio.open_nursery() as nursery:
        scene = Scene(store, SystemClock())
        for caller in range(8):
            nursery.start_soon(write, scene, caller)
trio.run(main)
"""
)

LEAN = """
import sys
import hermesd.daemon.api
import hermesd.stores.sqlite
print(*(name for name in ("alembic", "sqlalchemy", "psycopg") if name in sys.modules))
"""


async def test_one_process_holds_the_file(opener: Opener, database: Path) -> None:
    """A second one is told which process has it; when that is gone the file is free."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreUnavailable, match=f"another hermesd .*{holder.pid}.* holds"):
            async with opener():
                pass
        holder.kill()
        holder.wait()
    async with opener() as store:
        await store.check()


async def test_one_process_opens_it_once(opener: Opener) -> None:
    """The lock holds within a process too."""
    async with opener():
        with pytest.raises(StoreUnavailable, match="another hermesd"):
            async with opener():
                pass


async def test_a_killed_writer_leaves_whole_submissions(
    opener: Opener, database: Path, clock: ManualClock
) -> None:
    """All that was answered is there, and no part of what was not."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(database)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(200)]
        writer.kill()
        lines += writer.stdout.readlines()
    whole = [line for line in lines if line.endswith(b"\n")]
    answered = {job_id for line in whole for job_id in line.decode().split()}
    async with opener() as store:
        ids = await all_ids(store.reader)
        jobs = await store.reader.get_many(ids)
    assert answered <= {job.id for job in jobs}
    assert len(answered) >= 1000
    assert set(Counter(job.labels["batch"] for job in jobs).values()) == {5}


def test_the_store_does_not_load_the_migration_tool() -> None:
    """Nor SQLAlchemy, nor the other database's driver: a daemon on a migrated file needs none."""
    done = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, check=True)
    assert done.stdout.strip() == b""


async def test_a_path_that_cannot_be_is_refused(opener: Opener, database: Path) -> None:
    """With the path and the reason."""
    database.unlink()
    database.mkdir()
    with pytest.raises(StoreUnavailable, match=database.name):
        async with opener():
            pass


async def test_a_file_that_is_no_database_is_refused(opener: Opener, database: Path) -> None:
    """Nothing is written to it."""
    database.write_bytes(b"not a database " * 1000)
    with pytest.raises((StoreUnavailable, ConfigError)):
        async with opener():
            pass
    assert database.read_bytes().startswith(b"not a database")
