"""The tables' history: from nothing to now, once, and never backwards."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.core.job import Token
from hermesd.stores import migrate, schema, version
from hermesd.stores.rows import CHANGING, IDENTITY, Row
from hermesd.stores.sqlite import SqliteStore, fresh
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene

Opener = Callable[..., AbstractAsyncContextManager[SqliteStore]]


def set_version(database: Path, value: str) -> None:
    """Pretend that another hermesd wrote the file."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"UPDATE {version.VERSION_TABLE} SET version_num = ?", (value,))


async def test_a_first_start_makes_the_tables(
    opener: Opener, database: Path, clock: ManualClock
) -> None:
    """The file is its owner's only."""
    database.unlink()
    async with opener() as store:
        await Scene(store, clock).queued()
    assert migrate.current(f"sqlite:///{database}") == version.HEAD
    assert database.stat().st_mode & 0o077 == 0


def shape(database: Path) -> dict[tuple[str, str], str]:
    """All tables and indexes as SQL, but for its spaces; and the version."""
    with closing(sqlite3.connect(database)) as connection:
        found = {
            (kind, name): re.sub(r"\s*([(),])\s*", r"\1", " ".join((sql or "").split()))
            for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master")
        }
        rows = connection.execute(f"SELECT * FROM {version.VERSION_TABLE}").fetchall()
    return found | {("version", ""): str(rows)}


def test_a_fresh_database_is_as_the_migrations_leave_one(tmp_path: Path) -> None:
    """Table for table and index for index; what is there already is left alone."""
    migrated, made = tmp_path / "migrated.db", tmp_path / "made.db"
    migrate.upgrade(f"sqlite:///{migrated}")
    made.touch()
    assert fresh.make(made, 1.0)
    assert shape(made) == shape(migrated)
    assert not fresh.make(made, 1.0)
    assert not fresh.make(migrated, 1.0)
    assert shape(made) == shape(migrated)


async def test_tables_of_others_are_left_to_the_migrations(
    opener: Opener, database: Path, clock: ManualClock
) -> None:
    """A file without a version that is not empty: those of the daemon are put beside them."""
    database.unlink()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")
    async with opener() as store:
        await Scene(store, clock).queued()
    assert ("table", "theirs") in shape(database)


def test_an_upgrade_is_idempotent(tmp_path: Path) -> None:
    """Twice is once, and what is stored stays."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    assert migrate.current(url) is None
    assert migrate.upgrade(url) == version.HEAD
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("INSERT INTO meta (name, value) VALUES ('x', 'y')")
    assert migrate.upgrade(url) == version.HEAD
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        assert connection.execute("SELECT value FROM meta").fetchall() == [("y",)]


async def test_a_newer_schema_is_refused(opener: Opener, database: Path) -> None:
    """With a message that says what to do, by the daemon and by the tool."""
    set_version(database, "9999")
    with pytest.raises(ConfigError, match="newer hermesd"):
        async with opener():
            pass
    with pytest.raises(ConfigError, match="newer hermesd"):
        migrate.upgrade(f"sqlite:///{database}")
    done = subprocess.run(
        [sys.executable, "-m", "hermesd.stores.migrate", f"sqlite:///{database}"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"newer hermesd" in done.stderr


def test_the_known_versions_are_the_migrations() -> None:
    """The daemon's cheap comparison and the files agree."""
    assert migrate.head() == version.HEAD
    config = migrate._config()
    scripts = ScriptDirectory.from_config(config)
    files = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(files)) == version.KNOWN


def test_the_migrations_make_the_schema(database: Path) -> None:
    """What schema.py says and what the migrations leave is the same."""
    engine = sa.create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        options = {"version_table": version.VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.build()) == []
    engine.dispose()


async def test_what_an_older_hermesd_stored_is_kept(
    opener: Opener, database: Path, clock: ManualClock
) -> None:
    """A store of the first version is migrated as it is opened, and its jobs go on."""
    database.unlink()
    with migrate.connected(f"sqlite:///{database}") as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, version.KNOWN[0])
        connection.commit()
    with closing(sqlite3.connect(database)) as plain, plain:
        plain.execute(
            "INSERT INTO jobs (id, type, queue, state, owner, payload, backoff, labels, priority, "
            "lease, run, attempts, max_attempts, timeout_us, crash_count, crash_limit, "
            "cancel_requested, order_key, created_us, updated_us) "
            "VALUES ('old', 'test.echo', 'default', 'queued', 'store', '1', '{}', '{}', 3, "
            "2, 1, 0, 3, 1000000, 0, 3, 0, 1, 1, 1)"
        )
    async with opener() as store:
        assert await Scene(store, clock).waiting() == ["old"]
        assert await store.outbox.hand_over([Token("old", 2)], clock.utc()) == [True]
        assert await store.outbox.broker_counts(clock.utc() + 1) == {("default", 3): 1}
    assert migrate.current(f"sqlite:///{database}") == version.HEAD


def test_the_rows_are_columns_of_the_table() -> None:
    """The hand-written statements name what the schema has, in the order of the decoder."""
    columns = {column.name for column in schema.build().tables["jobs"].columns}
    later = {"published_us", "parents_pending", "progress", "progress_note", "logs_dropped"}
    unused = {"idempotency_key"}
    assert columns - later - unused == set(IDENTITY + CHANGING)
    assert Row.__struct_fields__ == IDENTITY + CHANGING


def test_a_bad_url_is_told(tmp_path: Path) -> None:
    """A ConfigError for one that is none, StoreUnavailable for one that leads nowhere."""
    with pytest.raises(ConfigError):
        migrate.current("nonsense")
    with pytest.raises(StoreUnavailable):
        migrate.current(f"sqlite:///{tmp_path / 'missing' / 'a.db'}")
    assert migrate.main([]) == 2


async def test_migrating_can_be_forbidden(opener: Opener, database: Path) -> None:
    """Then an older schema is refused; an empty file is still filled."""
    database.unlink()
    async with opener(migrate=False) as store:
        await store.check()
