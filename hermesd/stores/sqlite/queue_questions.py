"""What is asked about jobs that wait: in the store, for their time, at the broker."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Token
from hermesd.core.records import BrokerRange, Head, Waiting
from hermesd.stores.micros import micros, seconds_or_none
from hermesd.stores.sqlite import statements
from hermesd.stores.sqlite.connection import Connection
from hermesd.stores.sqlite.rows import AS_WAITING, WaitingRow, fetch_waiting

PAIRS_PER_QUERY: Final = 100  # SQLite takes at most 500 parts of a compound SELECT


def waiting(wanted: Waiting, connection: Connection) -> Head:
    """Queued jobs of the store, highest priority first, then by their place."""
    found: list[WaitingRow] = []
    pairs = list(dict.fromkeys(wanted.pairs))
    for start in range(0, len(pairs), PAIRS_PER_QUERY):
        some = pairs[start : start + PAIRS_PER_QUERY]
        parts = " UNION ALL ".join([statements.WAITING_IN_PAIR] * len(some))
        query = (
            f"SELECT {AS_WAITING} AS r FROM ({parts} ORDER BY 2 DESC, 3 LIMIT ?) AS best "
            "CROSS JOIN jobs ON jobs.id = best.id"
        )
        values: list[Any] = [value for pair in some for value in (*pair, wanted.limit)]
        values.append(wanted.limit)
        found += fetch_waiting(connection, query, values, wanted.most_bytes, wanted.limit)
    found.sort(key=lambda row: (-row.priority, row.order_key))
    return wanted.head([row.job() for row in found[: wanted.limit]])


def next_due(connection: sqlite3.Connection) -> float | None:
    """When the earliest scheduled job is due, in UTC seconds."""
    (run_us,) = connection.execute(statements.NEXT_DUE).fetchone()
    return seconds_or_none(run_us)


def has_orphans(connection: sqlite3.Connection) -> bool:
    """Whether a running job's incarnation is fenced or absent."""
    return connection.execute(statements.ORPHAN_IDS, (1,)).fetchone() is not None


def with_broker(wanted: BrokerRange, connection: sqlite3.Connection) -> list[Token]:
    """By the time of publishing."""
    lowest = max(wanted.lowest, LOWEST_PRIORITY)
    highest = min(wanted.highest, HIGHEST_PRIORITY)
    if lowest > highest:
        return []
    before = micros(wanted.published_before)
    values: list[object] = []
    for priority in range(lowest, highest + 1):
        values += (wanted.queue, priority, before, wanted.limit)
    parts = " UNION ALL ".join([statements.AT_BROKER] * (highest - lowest + 1))
    query = (
        "SELECT json_group_array(json_array(id, lease)) FROM "
        f"(SELECT * FROM ({parts}) ORDER BY published_us, id LIMIT ?)"
    )
    (found,) = connection.execute(query, (*values, wanted.limit)).fetchone()
    return msgspec.json.decode(found, type=list[Token])


def broker_counts(before_us: int, connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    """By queue and priority."""
    rows = connection.execute(statements.COUNT_AT_BROKER, (before_us,)).fetchall()
    return {(queue, priority): number for queue, priority, number in rows}
