"""FleetTables over SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from hermesd.core.fleet import Incarnation
from hermesd.stores.rows import as_json
from hermesd.stores.sqlite.rows import as_json_list
from hermesd.stores.tables import Values

_REGISTER: Final = (
    "INSERT INTO incarnations (incarnation, worker_id, address, machine, last_seen_us, fenced) "
    "VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (incarnation) DO UPDATE SET "
    "worker_id = excluded.worker_id, address = excluded.address, machine = excluded.machine, "
    "last_seen_us = max(last_seen_us, excluded.last_seen_us) WHERE fenced = 0"
)
_LIVING: Final = (
    "SELECT json_group_array(incarnation) FROM incarnations "
    "WHERE fenced = 0 AND incarnation IN (SELECT value FROM json_each(?))"
)
_HEARD: Final = (
    "UPDATE incarnations SET last_seen_us = max(last_seen_us, ?) "
    "WHERE fenced = 0 AND incarnation IN (SELECT value FROM json_each(?))"
)
_FENCE: Final = (
    "UPDATE incarnations SET fenced = 1 WHERE incarnation = ? AND fenced = 0 AND last_seen_us <= ?"
)
_COUNT_AS_HEARD: Final = "UPDATE incarnations SET last_seen_us = ? WHERE fenced = 0"
_FORGET: Final = (
    "DELETE FROM incarnations WHERE fenced = 1 AND last_seen_us <= ? AND NOT EXISTS "
    "(SELECT 1 FROM jobs WHERE state = 'running' AND jobs.incarnation = incarnations.incarnation)"
)
_LEARN: Final = (
    "REPLACE INTO types (name, definition, last_seen_us, source) "
    "SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)"
)
_TOUCH: Final = "REPLACE INTO meta (name, value) VALUES ('checked_us', ?)"


class SqliteFleetTables:
    """See `tables.FleetTables`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def register(self, new: Incarnation, at_us: int) -> bool:
        """False where it is fenced."""
        values = (new.incarnation, new.worker_id, new.address, new.machine, at_us)
        return self._connection.execute(_REGISTER, values).rowcount == 1

    def heard(self, incarnations: Sequence[str], at_us: int) -> frozenset[str]:
        """Those that are known and not fenced."""
        known = living(self._connection, incarnations)
        self._connection.execute(_HEARD, (at_us, as_json_list(incarnations)))
        return known

    def fence(self, incarnation: str, latest_us: int) -> bool:
        """True if that was done now."""
        return self._connection.execute(_FENCE, (incarnation, latest_us)).rowcount == 1

    def count_as_heard(self, at_us: int) -> None:
        """All living ones."""
        self._connection.execute(_COUNT_AS_HEARD, (at_us,))

    def forget(self, latest_us: int) -> int:
        """How many."""
        return self._connection.execute(_FORGET, (latest_us,)).rowcount

    def learn(self, rows: Sequence[Values]) -> None:
        """A name that is known is replaced."""
        self._connection.execute(_LEARN, (as_json(rows),))

    def touch(self, at_us: int) -> None:
        """The time of the last check."""
        self._connection.execute(_TOUCH, (str(at_us),))


def living(connection: sqlite3.Connection, incarnations: Iterable[str]) -> frozenset[str]:
    """Those of the incarnations that are known and not fenced."""
    wanted = as_json_list(incarnations)
    (found,) = connection.execute(_LIVING, (wanted,)).fetchone()
    return frozenset(msgspec.json.decode(found, type=list[str]))
