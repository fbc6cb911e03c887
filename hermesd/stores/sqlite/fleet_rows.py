"""The writes about incarnations and types, within a group's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from hermesd.core.fleet import Incarnation
from hermesd.core.jobtype import JobType
from hermesd.stores.backend import Verb
from hermesd.stores.micros import micros
from hermesd.stores.sqlite.rows import as_json

FLEET_VERBS: Final = frozenset(
    {
        Verb.REGISTER,
        Verb.HEARD,
        Verb.FENCE,
        Verb.COUNT_AS_HEARD,
        Verb.FORGET,
        Verb.LEARN,
        Verb.TOUCH,
    }
)

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
_FOREVER_US: Final = 2**62


def living(connection: sqlite3.Connection, incarnations: Iterable[str]) -> frozenset[str]:
    """Those of the incarnations that are known and not fenced."""
    wanted = as_json_list(incarnations)
    (found,) = connection.execute(_LIVING, (wanted,)).fetchone()
    return frozenset(msgspec.json.decode(found, type=list[str]))


def as_json_list(values: Iterable[str]) -> str:
    """Texts as one parameter."""
    return msgspec.json.encode(list(values)).decode()


def apply(connection: sqlite3.Connection, verb: Verb, items: Sequence[Any], at: float) -> list[Any]:
    """One answer for each item of a fleet verb."""
    match verb:
        case Verb.HEARD:
            return _heard(connection, items, micros(at))
        case Verb.LEARN:
            return _learn(connection, items, micros(at))
        case _:
            return [_one(connection, verb, item, micros(at)) for item in items]


def _one(connection: sqlite3.Connection, verb: Verb, item: Any, at_us: int) -> Any:
    match verb:
        case Verb.REGISTER:
            return _register(connection, item, at_us)
        case Verb.FENCE:
            incarnation, silent_us = item
            latest = _FOREVER_US if silent_us is None else at_us - silent_us
            return connection.execute(_FENCE, (incarnation, latest)).rowcount == 1
        case Verb.COUNT_AS_HEARD:
            connection.execute(_COUNT_AS_HEARD, (at_us,))
        case Verb.FORGET:
            return connection.execute(_FORGET, (at_us - item,)).rowcount
        case _:
            connection.execute(_TOUCH, (str(at_us),))
    return None


def _register(connection: sqlite3.Connection, new: Incarnation, at_us: int) -> bool:
    values = (new.incarnation, new.worker_id, new.address, new.machine, at_us)
    return connection.execute(_REGISTER, values).rowcount == 1


def _heard(connection: sqlite3.Connection, items: Sequence[str], at_us: int) -> list[bool]:
    known = living(connection, items)
    connection.execute(_HEARD, (at_us, as_json_list(items)))
    return [incarnation in known for incarnation in items]


def _learn(
    connection: sqlite3.Connection, items: Sequence[tuple[JobType, str]], at_us: int
) -> list[None]:
    rows = [
        (job_type.name, msgspec.json.encode(job_type).decode(), at_us, source)
        for job_type, source in items
    ]
    connection.execute(_LEARN, (as_json(rows),))
    return [None] * len(items)
