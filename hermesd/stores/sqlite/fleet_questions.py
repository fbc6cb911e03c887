"""What is asked about incarnations, types and the store itself."""

from __future__ import annotations

import sqlite3

import msgspec

from hermesd.core.fleet import Incarnation
from hermesd.core.jobtype import JobType
from hermesd.core.records import KnownType
from hermesd.stores.micros import seconds


def store_id(connection: sqlite3.Connection) -> str | None:
    """The identity of the store."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'store_id'").fetchone()
    return None if row is None else str(row[0])


def living(connection: sqlite3.Connection) -> list[Incarnation]:
    """Those that are not fenced."""
    rows = connection.execute(
        "SELECT incarnation, worker_id, address, machine, last_seen_us FROM incarnations "
        "WHERE fenced = 0 ORDER BY incarnation"
    ).fetchall()
    return [
        Incarnation(
            incarnation=incarnation,
            worker_id=worker_id,
            address=address,
            machine=machine,
            last_seen=seconds(last_seen_us),
        )
        for incarnation, worker_id, address, machine, last_seen_us in rows
    ]


def known_types(connection: sqlite3.Connection) -> list[KnownType]:
    """By name."""
    rows = connection.execute(
        "SELECT definition, last_seen_us, source FROM types ORDER BY name"
    ).fetchall()
    return [
        KnownType(
            type=msgspec.json.decode(definition, type=JobType),
            last_seen=seconds(last_seen_us),
            source=source,
        )
        for definition, last_seen_us, source in rows
    ]
