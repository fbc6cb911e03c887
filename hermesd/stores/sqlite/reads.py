"""Reading connections in threads, so that no read waits for a write or stops the event loop."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import trio

from hermesd.core.errors import StoreUnavailable
from hermesd.stores.backend import ItemFault
from hermesd.stores.sqlite.connection import Connection, open_reader, translated

MAX_READERS: Final = 3

T = TypeVar("T")


class ReadPool:
    """At most MAX_READERS reads at a time, each on a connection of its own."""

    def __init__(self, database: Path, busy_timeout_seconds: float) -> None:
        self._database = database
        self._busy_timeout_seconds = busy_timeout_seconds
        self._limiter = trio.CapacityLimiter(MAX_READERS)
        self._free: deque[Connection] = deque()

    async def run(self, query: Callable[[Connection], T]) -> T:
        """What `query` answers; raises StoreUnavailable where the database cannot be read."""
        return await trio.to_thread.run_sync(self._run, query, limiter=self._limiter)

    def close(self) -> None:
        """Close what is free; called when no read is under way."""
        while self._free:
            self._free.pop().close()

    def _run(self, query: Callable[[Connection], T]) -> T:
        try:
            with translated():
                connection = self._take()
                try:
                    answer = query(connection)
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        connection.close()
                    raise
        except ItemFault as fault:
            raise StoreUnavailable(f"the answer cannot be read: {fault}") from fault
        self._free.append(connection)
        return answer

    def _take(self) -> Connection:
        try:
            return self._free.pop()
        except IndexError:
            return open_reader(self._database, self._busy_timeout_seconds)


def reads_of(
    connection: Connection,
) -> Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]:
    """How a statement that both dialects take is run on a reading connection."""
    return lambda statement, values: connection.execute(statement, values).fetchall()
