"""The statements about schedules search indexes, and read what a newer hermesd wrote."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hermesd.core.schedule import ScheduleDefinition, Source
from hermesd.stores import schedule_orders, schedule_rows
from hermesd.stores.sqlite import SqliteStore
from hermesd.testing.clock import ManualClock


@pytest.mark.parametrize(
    "name",
    ["ONE", "DUE", "FIRES", "MOVE", "LAST_JOB", "NEWEST_KEPT", "LAST_WITH_JOB", "OLDEST", "PRUNE"],
)
def test_a_statement_searches_an_index(database: Path, name: str) -> None:
    """No SCAN, and no sort, of what grows."""
    statement = (vars(schedule_orders) | vars(schedule_rows))[name]
    with closing(sqlite3.connect(database)) as connection:
        values = ("1",) * statement.count("?")
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    steps = [row[3] for row in rows]
    assert not [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step], steps


async def test_the_definition_of_a_newer_hermesd_is_read(
    store: SqliteStore, database: Path, clock: ManualClock
) -> None:
    """What is not known is left out."""
    definition = ScheduleDefinition(cron="@daily", type="t")
    await store.schedules.put("a", definition, Source.API, next_at=clock.utc(), replace=False)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE schedules SET definition = json_set(definition, '$.holidays', 'skip')"
        )
    found = await store.schedules.get("a")
    assert found is not None
    assert found.definition == definition
