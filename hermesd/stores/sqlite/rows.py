"""Rows as one JSON text, for a statement that writes a whole group, or one row that reads it.

Python's sqlite3 gives the GIL away at every step of a statement, and under load each return to it
can cost milliseconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from hermesd.stores.rows import COLUMNS, Row

AS_JSON: Final = "json_array(" + ", ".join(f"jobs.{name}" for name in COLUMNS) + ")"


def as_json_list(values: Iterable[str]) -> str:
    """Texts as one parameter."""
    return msgspec.json.encode(list(values)).decode()


def fetch(connection: sqlite3.Connection, query: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """The rows of a query `SELECT <AS_JSON> AS r ...`, in its order, in one step of SQLite."""
    whole = f"SELECT group_concat(r) FROM ({query})"
    (found,) = connection.execute(whole, parameters).fetchone()
    return [] if found is None else msgspec.json.decode(f"[{found}]", type=list[Row])
