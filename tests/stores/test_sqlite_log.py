"""The log of a store that is used is made long once, and stays right whatever comes between."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from hermesd.core.job import Job
from hermesd.stores.backend import Part, Verb
from hermesd.stores.sqlite import log
from hermesd.stores.sqlite.transaction import ROWS_TO_STRETCH, SqliteWriter


@pytest.fixture
def writer(database: Path) -> Iterator[SqliteWriter]:
    """With as many jobs as it takes."""
    made = SqliteWriter(database, 5.0)
    for number in range(ROWS_TO_STRETCH):
        assert not made.needs_tending()
        commit(made, number)
    assert made.needs_tending()
    yield made
    made.close()


def commit(writer: SqliteWriter, number: int) -> None:
    """One more job, in a transaction of its own."""
    job = Job(id=f"{number:06d}", type="t", payload=msgspec.Raw(b"{}"))
    writer.commit([Part(verb=Verb.BEAR, items=(job,), at=1.0)])


def length(database: Path) -> int:
    """Of the log."""
    return Path(f"{database}-wal").stat().st_size


def jobs(database: Path) -> int:
    """How many are found."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (count,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    return int(count)


def killed(database: Path, place: Path) -> Path:
    """What a process that ends now would leave."""
    for suffix in ("", "-wal"):
        shutil.copy(f"{database}{suffix}", f"{place / 'killed.db'}{suffix}")
    return place / "killed.db"


def test_commits_overwrite_a_log_that_was_made_long(writer: SqliteWriter, database: Path) -> None:
    """Once; after that it is tended when it is full."""
    writer.tend_ahead()
    writer.tend()
    assert not writer.needs_tending()
    before = length(database)
    assert before >= log.STRETCHED_BYTES
    for number in range(100):
        commit(writer, ROWS_TO_STRETCH + number)
    log.stretch(database, 5.0)
    assert length(database) == before


def test_a_kill_finds_all_that_was_committed(
    writer: SqliteWriter, database: Path, tmp_path: Path
) -> None:
    """Before, in and after the first commits to the new length, and in the next round."""
    writer.tend_ahead()
    assert jobs(killed(database, tmp_path)) == ROWS_TO_STRETCH
    commit(writer, ROWS_TO_STRETCH)
    assert jobs(killed(database, tmp_path)) == ROWS_TO_STRETCH + 1
    writer.tend()
    writer.tend_ahead()  # now it is copied back
    writer.tend()
    commit(writer, ROWS_TO_STRETCH + 1)
    assert jobs(killed(database, tmp_path)) == ROWS_TO_STRETCH + 2


def test_a_disk_with_little_room_is_left_alone(
    writer: SqliteWriter, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is better use for it."""
    monkeypatch.setattr(log, "FREE_BYTES", 1 << 62)
    before = length(database)
    writer.tend_ahead()
    assert length(database) == before


def test_a_log_that_cannot_grow_stays_as_it_is(writer: SqliteWriter, database: Path) -> None:
    """And commits go on."""
    before = length(database)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    try:
        writer.tend_ahead()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert length(database) == before
    commit(writer, ROWS_TO_STRETCH)
    assert jobs(database) == ROWS_TO_STRETCH + 1


def test_another_programs_lock_and_emptying_do_no_harm(
    writer: SqliteWriter, database: Path
) -> None:
    """It is not made long then, and nothing is said."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = length(database)
        log.stretch(database, 0.0)
        assert length(database) == before
        other.execute("ROLLBACK")
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    log.stretch(database, 5.0)
    assert length(database) == 0
    commit(writer, ROWS_TO_STRETCH)
    assert jobs(database) == ROWS_TO_STRETCH + 1


def test_a_database_without_a_log_gets_none(database: Path) -> None:
    """SQLite makes it."""
    log.stretch(database, 5.0)
    assert not Path(f"{database}-wal").exists()
