"""One api holds a SQLite database at a time, by a lock on a file beside it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hermesd.core.errors import StoreUnavailable


@contextmanager
def exclusive(database: Path) -> Iterator[None]:
    """Hold `<database>.lock`; raises StoreUnavailable at once where another one does.

    The lock goes with the process however it ends; the file stays.
    """
    path = database.with_name(database.name + ".lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"cannot open {path}: {error.strerror}") from error
    try:
        _take(handle, database)
        yield
    finally:
        os.close(handle)


def _take(handle: int, database: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(handle, 32).decode("ascii", "replace").strip()
        who = f"another hermesd (process {holder})" if holder else "another hermesd"
        raise StoreUnavailable(f"{who} holds {database}") from None
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
