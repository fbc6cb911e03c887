"""Before a PostgreSQL store is opened: its schema, its identity."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import Any
from uuid import uuid4

import psycopg
import trio
from psycopg.conninfo import conninfo_to_dict

from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.stores.micros import seconds
from hermesd.stores.postgres import fresh
from hermesd.stores.postgres.connection import (
    KEEPALIVE,
    OLDEST,
    Line,
    kept,
    open_connection,
    translated,
)
from hermesd.stores.postgres.statements import NOW_US
from hermesd.stores.postgres.timing import DatabaseTime
from hermesd.stores.version import HEAD, LOCK_SECONDS, VERSION_TABLE, needs_upgrade

CONNECT_SECONDS = 10


def open_migrating(url: str, lock_seconds: int) -> psycopg.Connection[Any]:
    """A connection for the migration tool, which has all the time it needs but for locks."""
    given = conninfo_to_dict(url)
    options = f"-c lock_timeout={lock_seconds * 1000} {given.get('options') or ''}"
    own: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "hermesd-migrate",
        **KEEPALIVE,
    }
    with translated():
        return psycopg.connect(url, **{**own, **kept(given, own), "options": options.strip()})


def found_version(line: Line) -> str | None:
    """The schema version in the database, None where it has no tables.

    Raises StoreUnavailable where it cannot be reached, ConfigError where it is too old.
    """
    with (
        translated(),
        contextlib.closing(open_connection(line, "prepare", ())) as connection,
    ):
        version = connection.info.server_version
        if version < OLDEST:
            wanted, found = OLDEST // 10_000, version // 10_000
            raise ConfigError(
                [f"store.url: PostgreSQL {wanted} or newer is needed, this is {found}"]
            )
        if connection.info.parameter_status("server_encoding") != "UTF8":
            raise ConfigError(["store.url: the database's encoding must be UTF8"])
        exists = connection.execute("SELECT to_regclass(%s)", (VERSION_TABLE,)).fetchone()
        if exists is None or exists[0] is None:
            return None
        row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}".encode()).fetchone()
    return None if row is None else str(row[0])


async def migrated(line: Line, *, allowed: bool) -> None:
    """Bring the schema up to date in a process of its own, only if it is not.

    An empty database gets its tables at once, here.
    Raises ConfigError where it may not be migrated or is newer than this program.
    """
    found = await trio.to_thread.run_sync(found_version, line)
    if not needs_upgrade(found):
        return
    if not allowed and found is not None:
        raise ConfigError(
            [f"[store] the database has schema {found!r}, {HEAD!r} is needed and migrate is false"]
        )
    if found is None:
        # Whoever gives it up leaves it be: it waits for a lock at most, and does all or nothing.
        found = await trio.to_thread.run_sync(_filled, line, abandon_on_cancel=True)
        if not needs_upgrade(found):
            return
    command = [sys.executable, "-m", "hermesd.stores.migrate", "-"]
    done = await trio.run_process(
        command,
        check=False,
        capture_stderr=True,
        stdout=subprocess.DEVNULL,
        stdin=f"{line.url}\n".encode(),  # it may hold a password, and arguments are for all to see
    )
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise StoreUnavailable(f"migration failed: {lines[-1] if lines else done.returncode}")


def _filled(line: Line) -> str | None:
    with translated(), contextlib.closing(open_migrating(line.url, LOCK_SECONDS)) as connection:
        return fresh.fill(connection)


def identify(line: Line, there: DatabaseTime) -> str:
    """The identity of the store, given at its first opening; its clock is looked at too."""
    with (
        translated(),
        contextlib.closing(open_connection(line, "prepare", ())) as connection,
    ):
        connection.execute(
            "INSERT INTO meta (name, value) VALUES ('store_id', %s) ON CONFLICT DO NOTHING",
            (uuid4().hex,),
        )
        row = connection.execute("SELECT value FROM meta WHERE name = 'store_id'").fetchone()
        sent = time.monotonic()
        ((now_us,),) = connection.execute(f"SELECT {NOW_US}".encode()).fetchall()
        there.measured(seconds(now_us), sent, time.monotonic())
    if row is None:
        raise StoreUnavailable("the store has lost its identity")
    return str(row[0])
