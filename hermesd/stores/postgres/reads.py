"""Reading connections in threads, so that no read waits for a write or stops the event loop."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

import psycopg
import trio

from hermesd.core.errors import InvalidValue, StoreUnavailable
from hermesd.stores.backend import ItemFault
from hermesd.stores.postgres.comeback import Comeback
from hermesd.stores.postgres.connection import (
    READER_SETTINGS,
    BoundedConnection,
    Line,
    open_connection,
    told,
    translated,
)

MAX_READERS: Final = 3

T = TypeVar("T")


class _Died(Exception):
    """The connection had ended, perhaps long ago: nothing is known of the database."""


class PostgresReads:
    """At most MAX_READERS reads at a time, each on a connection of its own."""

    def __init__(self, line: Line, comeback: Comeback) -> None:
        self._line = line
        self._limiter = trio.CapacityLimiter(MAX_READERS)
        self._free: deque[BoundedConnection] = deque()
        self._comeback = comeback

    async def run(self, query: Callable[[BoundedConnection], T]) -> T:
        """What `query` answers; a connection that turns out to be dead costs nothing but time.

        Raises StoreUnavailable where the database cannot be read, InvalidValue where it cannot be
        asked that.
        """
        return await trio.to_thread.run_sync(self._run, query, limiter=self._limiter)

    def close(self) -> None:
        """Close what is free; called when no read is under way."""
        while self._free:
            self._free.pop().close()

    def _run(self, query: Callable[[BoundedConnection], T]) -> T:
        try:
            with translated():
                try:
                    return self._ask(query, self._take())
                except _Died:
                    # The others that are free may be as old: a fresh one tells.
                    self.close()
                    return self._ask(query, self._fresh())
        except _Died as died:
            raise StoreUnavailable(f"PostgreSQL: {died}") from died
        except ItemFault as fault:
            raise InvalidValue(f"the store cannot be asked that: {fault}") from fault

    def _ask(self, query: Callable[[BoundedConnection], T], connection: BoundedConnection) -> T:
        try:
            answer = query(connection)
        except BaseException as error:
            # Looked at first: a connection that is closed here is closed.
            died = connection.closed and not connection.silent
            connection.close()
            if died and isinstance(error, psycopg.OperationalError):
                raise _Died(told(error)) from error
            raise
        self._free.append(connection)
        return answer

    def _take(self) -> BoundedConnection:
        try:
            return self._free.pop()
        except IndexError:
            return self._fresh()

    def _fresh(self) -> BoundedConnection:
        left = self._comeback.seconds_left(time.monotonic())
        if left > 0:
            raise StoreUnavailable(self._comeback.trouble, retry_after_seconds=left)
        try:
            connection = open_connection(self._line, "reader", READER_SETTINGS)
        except psycopg.OperationalError as error:
            self._comeback.failed(time.monotonic(), random.random(), f"PostgreSQL: {told(error)}")
            raise
        self._comeback.worked()
        return connection


def reads_of(
    connection: BoundedConnection,
) -> Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]:
    """How a statement that both dialects take is run on a reading connection."""
    return lambda statement, values: connection.execute(_named(statement), values).fetchall()


@lru_cache(maxsize=64)
def _named(statement: str) -> bytes:
    """As the driver wants its values marked."""
    return statement.replace("%", "%%").replace("?", "%s").encode()
