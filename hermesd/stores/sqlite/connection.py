"""SQLite connections and what their errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from hermesd.core.errors import StoreUnavailable
from hermesd.stores.backend import ItemFault

MAX_LOG_BYTES: Final = 64 * 1024 * 1024  # the log is cut back to this after a checkpoint

# The item is at fault: too big, against a constraint, or not a value that SQLite has.
_ITEM_CODES: Final = frozenset(
    {sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH}
)
_ITEM_ERRORS: Final = (ValueError, OverflowError, msgspec.MsgspecError)


class Room:
    """How many bytes of large payloads may be read yet, which `room` in a statement asks."""

    def __init__(self) -> None:
        self.left = 0

    def take(self, size: int) -> int:
        """True; raises ValueError where there is no room: the statement fails then."""
        self.left -= size
        if self.left < 0:
            raise ValueError
        return 1


class Connection(sqlite3.Connection):
    """A connection for one thread at a time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.room = Room()
        self.create_function("room", 1, self.room.take)


def open_writer(database: Path, busy_timeout_seconds: float) -> Connection:
    """A writing connection, for one thread at a time: WAL, and every commit synced to the disk.

    Its log is not copied back by commits: whoever writes sees to that. What is deleted is written
    over with zeros only where that costs no writing of its own, whatever SQLite was built with:
    purging 500 jobs with 100 KB each wrote 50 MB else (measured: 230 against 75 ms).
    """
    connection = _open(database, busy_timeout_seconds)
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=FAST").fetchone()
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(f"PRAGMA journal_size_limit={MAX_LOG_BYTES}").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(database: Path, busy_timeout_seconds: float) -> Connection:
    """A reading connection."""
    connection = _open(database, busy_timeout_seconds)
    connection.execute("PRAGMA query_only=ON")
    return connection


def _open(database: Path, busy_timeout_seconds: float) -> Connection:
    return sqlite3.connect(
        database.absolute().as_uri() + "?mode=rw",
        uri=True,
        timeout=busy_timeout_seconds,
        isolation_level=None,  # transactions are begun and ended by hand
        check_same_thread=False,
        factory=Connection,
    )


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code (https://www.sqlite.org/rescode.html), 0 where it has none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds the lock."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_of_item(error: sqlite3.Error) -> bool:
    """Whether what was to be stored is at fault, and nothing was stored."""
    return primary_code(error) in _ITEM_CODES or isinstance(error, sqlite3.DataError)


@contextmanager
def translated() -> Iterator[None]:
    """Raise ItemFault or StoreUnavailable in place of SQLite's and the encoder's errors."""
    try:
        yield
    except sqlite3.Error as error:
        if is_of_item(error):
            raise ItemFault(str(error)) from error
        raise StoreUnavailable(f"SQLite: {error}") from error
    except _ITEM_ERRORS as error:
        raise ItemFault(f"not storable: {type(error).__name__}") from error
