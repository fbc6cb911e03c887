"""An empty file gets its tables, without the migration tool (see `stores.new_tables`)."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from hermesd.stores.new_tables import INDEXES, NUMBERED, TABLES
from hermesd.stores.sqlite.connection import open_writer, translated
from hermesd.stores.version import HEAD, VERSION_TABLE


def make(database: Path, busy_timeout_seconds: float) -> bool:
    """Make the tables in one transaction; False, and nothing done, where there is anything yet."""
    with (
        translated(),
        contextlib.closing(open_writer(database, busy_timeout_seconds)) as connection,
    ):
        connection.execute("BEGIN IMMEDIATE")
        try:
            empty = connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
            if empty:
                _fill(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return empty


def _fill(connection: sqlite3.Connection) -> None:
    for name, columns in TABLES.items():
        rowid = "" if name in NUMBERED or name == VERSION_TABLE else " WITHOUT ROWID"
        connection.execute(f"CREATE TABLE {name} ({columns}){rowid}")
    for name, of in INDEXES.items():
        connection.execute(f"CREATE INDEX {name} ON {of}")
    connection.execute(f"INSERT INTO {VERSION_TABLE} VALUES (?)", (HEAD,))
