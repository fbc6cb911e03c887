"""The length of the write-ahead log: made once what it comes to anyway, so that commits overwrite.

The sync of what was appended to a file has its metadata to write as well (measured: 200 against
110 µs for 16 KB), and a log grows with every commit until it is copied back for the first time.
SQLite ends a log at the first frame that is not of its present round, so that zeros behind the last
one are what is left of older rounds: read by nobody, overwritten by the next commit.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Final

from hermesd.core.errors import StoreUnavailable
from hermesd.stores.sqlite.connection import open_writer, translated

STRETCHED_BYTES: Final = 48 * 1024 * 1024  # where one row a commit takes it before it begins anew
FREE_BYTES: Final = 16 * STRETCHED_BYTES  # with less, the disk has a better use for it
SECONDS: Final = 1.0  # a disk that takes longer is left alone
_SLICE: Final = bytes(256 * 1024)  # what a commit may have to wait for


def copy_back(database: Path, busy_timeout_seconds: float) -> None:
    """Write what is in the log into the file, as far as nobody reads it; a failure is no matter."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(open_writer(database, busy_timeout_seconds)) as connection,
    ):
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def stretch(database: Path, busy_timeout_seconds: float) -> None:
    """Lengthen the log of a database that is open elsewhere; a failure is no matter.

    It has no lock of SQLite's on it, so that opening and closing it here loses none.
    """
    with (
        contextlib.suppress(OSError, StoreUnavailable),
        open(f"{database.resolve()}-wal", "r+b", buffering=0) as log,
        translated(),
        contextlib.closing(open_writer(database, busy_timeout_seconds)) as connection,
    ):
        room = os.fstatvfs(log.fileno())
        if room.f_bavail * room.f_frsize < FREE_BYTES:
            return
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and _append(connection, log.fileno()):
            os.fdatasync(log.fileno())


def _append(connection: sqlite3.Connection, log: int) -> bool:
    """One slice, under the lock of those who write; False where it is long enough."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        end = os.fstat(log).st_size
        if not 0 < end < STRETCHED_BYTES:
            return False
        try:
            os.pwrite(log, _SLICE, end)
        except OSError:
            os.ftruncate(log, end)
            raise
        return True
    finally:
        connection.execute("ROLLBACK")
