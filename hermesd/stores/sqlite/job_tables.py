"""JobTables over SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from hermesd.core.errors import Broken
from hermesd.core.job import Token
from hermesd.stores.hot import HotRows
from hermesd.stores.rows import Row, as_json
from hermesd.stores.sqlite import hot, statements
from hermesd.stores.sqlite.connection import Connection
from hermesd.stores.sqlite.fleet_tables import SqliteFleetTables, living
from hermesd.stores.sqlite.rows import as_json_list, fetch, fetch_ids
from hermesd.stores.tables import LateChange, Values


class SqliteJobTables:
    """See `tables.JobTables`; SQLite has one writer at a time, so that there is nothing to lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def jobs(self, ids: Sequence[str], *, whole: bool = True) -> Sequence[Row]:
        """Those that exist."""
        statement = statements.JOBS_BY_ID if whole else statements.LIGHT_BY_ID
        return fetch(self._connection, statement, (as_json_list(ids),))

    def due(self, at_us: int, limit: int) -> Sequence[str]:
        """The earliest first."""
        return fetch_ids(self._connection, statements.DUE_IDS, (at_us, limit), limit)

    def orphans(self, limit: int) -> Sequence[str]:
        """In no particular order."""
        return fetch_ids(self._connection, statements.ORPHAN_IDS, (limit,), limit)

    def living(self, incarnations: Iterable[str]) -> frozenset[str]:
        """Known and not fenced."""
        return living(self._connection, incarnations)

    def keys(self, names: Sequence[tuple[str, str]]) -> Sequence[Values]:
        """(*KEY, final_state) each."""
        return self._connection.execute(statements.FIND_KEYS, (as_json(names),)).fetchall()

    def insert(self, rows: Sequence[Values]) -> None:
        """New jobs."""
        self._connection.execute(statements.INSERT_ALL, (as_json(rows),))

    def put_keys(self, rows: Sequence[Values]) -> None:
        """New keys, and known ones."""
        self._connection.execute(statements.PUT_KEYS, (as_json(rows),))

    def change(self, rows: Sequence[Values]) -> None:
        """All of them, or Broken."""
        done = self._connection.execute(statements.CHANGE_JOBS, (as_json(rows),)).rowcount
        if done != len(rows):
            raise Broken(f"{len(rows) - done} jobs changed within another's transaction")

    def add_events(self, rows: Sequence[Values]) -> None:
        """In their order."""
        self._connection.execute(statements.INSERT_EVENTS, (as_json(rows),))

    def hand_over(self, rows: Sequence[tuple[str, int, int]]) -> Sequence[Token]:
        """Those that the broker owns now."""
        given = as_json(rows)
        (found,) = self._connection.execute(statements.STILL_OWN, (given,)).fetchone()
        own = msgspec.json.decode(found, type=list[Token])
        if own:
            self._connection.execute(statements.HAND_OVER, (given,))
        return own

    def hot(self, rows: HotRows) -> None:
        """By the triggers of the view."""
        try:
            hot.run(self._connection, hot.statement(rows))
        except sqlite3.Error as error:
            if hot.is_late(error):
                raise LateChange from error
            raise

    def purge(self, ids: Sequence[str], at_us: int) -> int:
        """How many jobs were deleted."""
        wanted = as_json_list(ids)
        self._connection.execute(statements.KEEP_FINAL_STATES, (wanted,))
        count = self._connection.execute(statements.PURGE_JOBS, (wanted,)).rowcount
        self._connection.execute(statements.PURGE_EVENTS, (wanted,))
        self._connection.execute(statements.PURGE_KEYS, (at_us,))
        return count


class SqliteTables:
    """All of the file, within one transaction of `connection`."""

    def __init__(self, connection: Connection) -> None:
        self.jobs = SqliteJobTables(connection)
        self.fleet = SqliteFleetTables(connection)
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """What both dialects take."""
        return self._connection.execute(statement, values).fetchall()
