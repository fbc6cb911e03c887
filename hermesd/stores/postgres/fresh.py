"""An empty database gets its tables, without the migration tool (see `stores.new_tables`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from hermesd.stores.new_tables import INDEXES, NUMBERED, TABLES
from hermesd.stores.version import HEAD, LOCK, VERSION_TABLE

# What migration 0005 tells of the tables there were (and says why): texts compare bytewise, busy
# tables are vacuumed often. The texts that came after it are of the database's own collation.
_TEXT: Final = re.compile(r"(\w+) TEXT")
_PLAIN: Final = {
    "events": ("rung", "error"),
    "apis": ("name", "boot", "url"),
    "queue_pauses": ("queue", "reason", "paused_by"),
    "points": ("api", "boot", "point"),
}
_BUSY: Final = frozenset({"jobs", "events", "job_logs", "idempotency", "fires"})
_VACUUM: Final = (
    " WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, "
    "autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05, "
    "autovacuum_vacuum_cost_delay = 0)"
)


def fill(connection: psycopg.Connection[Any]) -> str | None:
    """Make the tables in one transaction, where no program has made any; the version they have.

    Raises psycopg.Error. Of several that do so side by side one makes them, the others wait.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        exists = connection.execute("SELECT to_regclass(%s)", (VERSION_TABLE,)).fetchone()
        if exists is None or exists[0] is None:
            connection.execute(";".join(_script()).encode())
        found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}".encode()).fetchone()
    return None if found is None else str(found[0])


def _script() -> Iterator[str]:
    for name, columns in TABLES.items():
        settings = _VACUUM if name in _BUSY else ""
        yield f"CREATE TABLE {name} ({_with_collations(name, columns)}){settings}"
    for name, of in INDEXES.items():
        yield f"CREATE INDEX {name} ON {of}"
    yield f"INSERT INTO {VERSION_TABLE} VALUES ('{HEAD}')"


def _with_collations(table: str, columns: str) -> str:
    if table in NUMBERED:
        columns = columns.replace("id INTEGER", "id BIGSERIAL", 1)
    plain = _PLAIN.get(table, ())
    return _TEXT.sub(
        lambda found: found[0] if found[1] in plain else f'{found[0]} COLLATE "C"', columns
    )
