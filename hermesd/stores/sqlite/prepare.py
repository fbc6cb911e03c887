"""Before a SQLite store is opened: the file, its schema, its identity."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import trio

from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.stores.sqlite import fresh
from hermesd.stores.sqlite.connection import open_writer, translated
from hermesd.stores.version import HEAD, VERSION_TABLE, needs_upgrade


def url_of(database: Path) -> str:
    """The SQLAlchemy URL of a database file."""
    return f"sqlite:///{database.absolute()}"


def create(database: Path) -> None:
    """Make an empty file that only its owner reads, where there is none."""
    try:
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"cannot open {database}: {error.strerror}") from error


def found_version(database: Path) -> str | None:
    """The schema version in the file, None where it has no tables; a plain SELECT."""
    query = f"SELECT version_num FROM {VERSION_TABLE}"
    exists = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    with translated(), contextlib.closing(sqlite3.connect(database)) as connection:
        if connection.execute(exists, (VERSION_TABLE,)).fetchone() is None:
            return None
        row = connection.execute(query).fetchone()
    return None if row is None else str(row[0])


async def migrated(database: Path, busy_timeout_seconds: float, *, allowed: bool) -> None:
    """Bring the schema up to date in a process of its own, only if it is not.

    An empty file gets its tables at once, here.
    Raises ConfigError where it may not be migrated or is newer than this program.
    """
    found = await trio.to_thread.run_sync(found_version, database)
    if not needs_upgrade(found):
        return
    if not allowed and found is not None:
        raise ConfigError(
            [f"[store] the database has schema {found!r}, {HEAD!r} is needed and migrate is false"]
        )
    if found is None and await trio.to_thread.run_sync(fresh.make, database, busy_timeout_seconds):
        return
    command = [sys.executable, "-m", "hermesd.stores.migrate", url_of(database)]
    done = await trio.run_process(
        command, check=False, capture_stderr=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise StoreUnavailable(f"migration failed: {lines[-1] if lines else done.returncode}")


def identify(database: Path, busy_timeout_seconds: float) -> str:
    """The identity of the store, given at its first opening."""
    with (
        translated(),
        contextlib.closing(open_writer(database, busy_timeout_seconds)) as connection,
    ):
        connection.execute(
            "INSERT OR IGNORE INTO meta (name, value) VALUES ('store_id', ?)", (uuid4().hex,)
        )
        row = connection.execute("SELECT value FROM meta WHERE name = 'store_id'").fetchone()
    return str(row[0])
