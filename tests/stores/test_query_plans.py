"""No statement of the hot path reads the whole table of jobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hermesd.core.records import JobFilter
from hermesd.core.states import State
from hermesd.stores import note_rows
from hermesd.stores.sqlite import listing, statements


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    """On an empty database of the present schema."""
    with closing(sqlite3.connect(database)) as opened:
        yield opened


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    """SQLite's plan, one line a step."""
    values = ("[]",) * statement.count("?")
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return [row[3] for row in rows]


@pytest.mark.parametrize(
    "name",
    [
        "INSERT_ALL",
        "SUCCEED_ALL",
        "ASSIGN_ALL",
        "STILL_OWN",
        "HAND_OVER",
        "AT_BROKER",
        "CHANGE_JOBS",
        "JOBS_BY_ID",
        "INSERT_EVENTS",
        "DUE_IDS",
        "NEXT_DUE",
        "WAITING_IN_PAIR",
        "WALK_ENDED",
        "FIND_KEYS",
        "PUT_KEYS",
        "KEEP_FINAL_STATES",
        "PURGE_JOBS",
        "PURGE_EVENTS",
        "PURGE_KEYS",
    ],
)
def test_a_statement_searches_an_index(connection: sqlite3.Connection, name: str) -> None:
    """No SCAN of a table that grows."""
    steps = plan(connection, getattr(statements, name))
    grown = ("SCAN jobs", "SCAN idempotency", "SCAN events", "SCAN keys", "SCAN old")
    assert not [step for step in steps if step.startswith(grown)], steps


@pytest.mark.parametrize(
    "name", ["RUNNING", "COUNT_ALL", "COUNT_BY_RUN", "TIMES", "UPDATE", "TOLD", "LINES", "PURGE"]
)
def test_what_jobs_tell_is_found_by_their_ids(connection: sqlite3.Connection, name: str) -> None:
    """No SCAN of a table that grows; all lines of a job are counted in the index alone."""
    places = "(?, ?, ?, ?, ?)" if name == "UPDATE" else "?, ?"
    steps = plan(connection, getattr(note_rows, name).format(places))
    assert not [step for step in steps if step.startswith(("SCAN jobs", "SCAN job_logs"))], steps
    if name == "COUNT_ALL":
        assert [step for step in steps if "COVERING INDEX job_logs_job" in step], steps
    assert not [step for step in steps if name == "LINES" and "TEMP B-TREE" in step], steps


def test_live_jobs_are_counted_in_the_indexes_of_their_states(
    connection: sqlite3.Connection,
) -> None:
    """However many have ended."""
    scans = [step for step in plan(connection, statements.COUNT_LIVE) if "jobs" in step]
    indexes = ["jobs_scheduled", "jobs_queued", "jobs_running"]
    assert [step.rpartition(" ")[2] for step in scans] == indexes


def test_waiting_jobs_need_no_sort(connection: sqlite3.Connection) -> None:
    """The index gives them best first, and passes by those at the broker."""
    steps = plan(connection, statements.WAITING_IN_PAIR)
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
    assert [step for step in steps if "INDEX jobs_queued (queue=? AND type=? AND owner=?)" in step]


def test_what_waits_is_counted_in_the_order_of_its_index(connection: sqlite3.Connection) -> None:
    """Without a sort, and without the rows themselves."""
    assert plan(connection, statements.COUNT_WAITING) == [
        "SCAN jobs USING COVERING INDEX jobs_queued"
    ]


def test_jobs_at_the_broker_have_an_index_of_their_own(connection: sqlite3.Connection) -> None:
    """By band and time of publishing: finding and counting them costs nothing for all others."""
    steps = plan(connection, statements.AT_BROKER)
    index = "INDEX jobs_with_broker (queue=? AND priority=? AND published_us<?)"
    assert [step for step in steps if index in step], steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
    assert plan(connection, statements.COUNT_AT_BROKER) == [
        "SCAN jobs USING COVERING INDEX jobs_with_broker"
    ]


def test_the_walk_over_ended_jobs_needs_no_sort(connection: sqlite3.Connection) -> None:
    """It follows the primary key from its place on, and ends at its limit."""
    steps = plan(connection, statements.WALK_ENDED)
    assert "SEARCH jobs USING PRIMARY KEY (id>? AND id<?)" in steps, steps


@pytest.mark.parametrize("name", ["ORPHAN_IDS", "LAST_ORDER_KEY"])
def test_a_sweep_reads_live_jobs_only(connection: sqlite3.Connection, name: str) -> None:
    """Whatever it scans is a partial index."""
    steps = plan(connection, getattr(statements, name))
    scans = [step for step in steps if step.startswith("SCAN jobs")]
    assert all("USING" in step and "jobs_" in step for step in scans), steps


@pytest.mark.parametrize("state", [State.FAILED, State.RUNNING, State.QUEUED, State.SCHEDULED])
def test_a_page_of_one_live_state_or_the_dead_letters_uses_its_index(
    connection: sqlite3.Connection, state: State
) -> None:
    """A few such jobs among millions that ended are found at once."""
    condition, values = listing.where(JobFilter(states=(state,)))
    query = f"SELECT id FROM jobs INDEXED BY jobs_{state} WHERE {condition} ORDER BY id DESC"
    connection.execute(query, values)  # INDEXED BY fails where the index cannot serve


def test_the_dead_letters_are_paged_by_their_index(connection: sqlite3.Connection) -> None:
    """With the cursor, and without a sort."""
    condition, _ = listing.where(JobFilter(states=(State.FAILED,)))
    steps = plan(
        connection,
        f"SELECT payload FROM jobs WHERE {condition} AND id < ? ORDER BY id DESC LIMIT 5",
    )
    assert "jobs_failed" in steps[0] or "PRIMARY KEY" in steps[0], steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
