"""Rows as one JSON text, for a statement that writes a whole group, or one row that reads it.

Python's sqlite3 gives the GIL away at every step of a statement, and under load each return to it
can cost milliseconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hermesd.core.job import Job
from hermesd.stores.micros import seconds, seconds_or_none
from hermesd.stores.portion import MOST_BYTES, portion
from hermesd.stores.rows import COLUMNS, Row, to_job
from hermesd.stores.sqlite.connection import Connection

AS_JSON: Final = "json_array(" + ", ".join(f"jobs.{name}" for name in COLUMNS) + ")"
# Without what may be large and is not always needed: the payload; that and the result.
LIGHT: Final = AS_JSON.replace("jobs.payload", "''")
BRIEF: Final = LIGHT.replace("jobs.result", "NULL")
_MANY: Final = 1000
_SIZE: Final = "length(jobs.payload) + coalesce(length(jobs.result), 0)"


# What hardly two jobs share comes first, then the whole row with nothing in those places.
_NOTHING: Final = {
    "id": "''",
    "payload": "''",
    "created_us": "0",
    "updated_us": "0",
    "enqueued_us": "NULL",
    "trace_context": "NULL",
    "order_key": "0",
}
AS_WAITING: Final = (
    "json_array(best.priority, "
    + ", ".join(f"jobs.{name}" for name in _NOTHING)
    + f", json_array({', '.join(_NOTHING.get(name, f'jobs.{name}') for name in COLUMNS)}))"
)


class WaitingRow(msgspec.Struct, frozen=True, array_like=True):
    """One row of AS_WAITING."""

    priority: int
    id: str
    payload: str
    created_us: int
    updated_us: int
    enqueued_us: int | None
    trace_context: str | None
    order_key: int
    shared: msgspec.Raw

    def job(self) -> Job:
        """The same as `to_job` makes of a whole row, in a third of the time."""
        return replace(
            _with_shared(bytes(self.shared)),
            id=self.id,
            payload=msgspec.Raw(self.payload.encode()),
            created_at=seconds(self.created_us),
            updated_at=seconds(self.updated_us),
            enqueued_at=seconds_or_none(self.enqueued_us),
            trace_context=self.trace_context,
        )


@lru_cache(maxsize=256)  # most jobs that wait share a handful
def _with_shared(row: bytes) -> Job:
    return to_job(msgspec.json.decode(row, type=Row))


def as_json_list(values: Iterable[str]) -> str:
    """Texts as one parameter."""
    return msgspec.json.encode(list(values)).decode()


def fetch(connection: sqlite3.Connection, query: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """The rows of a query `SELECT <AS_JSON> AS r ...`, in its order, in one step of SQLite."""
    return msgspec.json.decode(_fetched(connection, query, parameters), type=list[Row])


def fetch_waiting(
    connection: Connection, query: str, parameters: Sequence[Any], most_bytes: int, most: int
) -> list[WaitingRow]:
    """The same of a query `SELECT <AS_WAITING> AS r ...` without a WHERE, for at most `most` rows.

    It stops at one, not the first, with which the payloads have more than `most_bytes`. Where that
    may come about, each row is a step: only payloads that are larger than others are asked about.
    """
    connection.room.left = most_bytes
    bounded = f"{query} WHERE length(jobs.payload) <= ? OR room(length(jobs.payload))"
    try:
        found = _fetched(connection, bounded, (*parameters, most_bytes // most))
    except sqlite3.OperationalError:
        if connection.room.left >= 0:
            raise
        return _first_of(connection.execute(query, parameters), most_bytes)
    return msgspec.json.decode(found, type=list[WaitingRow])


def fetch_ids(
    connection: Connection, query: str, parameters: Sequence[Any], most: int
) -> list[str]:
    """The first of a query for at most `most` ids, no more than a portion: see `stores.portion`.

    As `fetch_waiting` does it: one by one only where the portion may not hold them all.
    """
    sized = (
        f"SELECT jobs.id AS id, {_SIZE} AS size FROM ({query}) AS found "
        "CROSS JOIN jobs ON jobs.id = found.id"
    )
    # The limit keeps it apart from the rest, where each size would be looked up twice.
    bounded = f"SELECT json_group_array(id) FROM ({sized} LIMIT -1) WHERE size <= ? OR room(size)"
    connection.room.left = MOST_BYTES
    try:
        values = (*parameters, MOST_BYTES // max(most, _MANY))
        (found,) = connection.execute(bounded, values).fetchone()
    except sqlite3.OperationalError:
        if connection.room.left >= 0:
            raise
        return portion(connection.execute(sized, parameters))
    return msgspec.json.decode(found, type=list[str])


def _first_of(found: Iterable[tuple[str]], most_bytes: int) -> list[WaitingRow]:
    rows: list[WaitingRow] = []
    for (row,) in found:
        rows.append(msgspec.json.decode(row, type=WaitingRow))
        most_bytes -= len(rows[-1].payload.encode())
        if most_bytes < 0 and len(rows) > 1:
            break
    return rows


def _fetched(connection: sqlite3.Connection, query: str, parameters: Sequence[Any]) -> str:
    whole = f"SELECT group_concat(r) FROM ({query})"
    (found,) = connection.execute(whole, parameters).fetchone()
    return f"[{found or ''}]"
