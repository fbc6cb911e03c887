"""What is asked about jobs: pages of a listing, counts, events. Each runs in a reading thread."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hermesd.core.job import FITTING_OWNERS, Job
from hermesd.core.records import (
    Counts,
    EndedJob,
    EndedPage,
    EndedRange,
    EventRecord,
    JobFilter,
    JobPage,
)
from hermesd.core.states import State
from hermesd.stores.cursor import cursor_after, job_id_of
from hermesd.stores.micros import micros_or_none, seconds
from hermesd.stores.rows import Row, to_job
from hermesd.stores.sqlite import statements
from hermesd.stores.sqlite.rows import AS_JSON, fetch

_IDS: Final = "(SELECT value FROM json_each(?))"


def by_ids(job_ids: Sequence[str], connection: sqlite3.Connection) -> list[Row]:
    """The rows of those jobs that exist, in no particular order."""
    wanted = msgspec.json.encode(sorted(set(job_ids))).decode()
    return fetch(connection, statements.JOBS_BY_ID, (wanted,))


def get_many(job_ids: Sequence[str], connection: sqlite3.Connection) -> list[Job]:
    """Those of the jobs that exist."""
    return [to_job(row) for row in by_ids(job_ids, connection)]


def where(wanted: JobFilter) -> tuple[str, list[Any]]:
    """The condition of a filter and its values.

    A single state is written out, not passed in, so that its partial index can serve.
    """
    terms: list[str] = ["1"]
    values: list[Any] = []
    if wanted.states:
        states = [f"state = '{State(state)}'" for state in wanted.states]
        terms.append(f"({' OR '.join(states)})")
    for column, among in (("type", wanted.types), ("queue", wanted.queues), ("id", wanted.ids)):
        if among:
            terms.append(f"{column} IN {_IDS}")
            values.append(msgspec.json.encode(among).decode())
    for term, value in (
        ("worker_id = ?", wanted.worker_id),
        ("error ->> '$.kind' = ?", wanted.error_kind),
        ("created_us >= ?", micros_or_none(wanted.created_after)),
        ("created_us < ?", micros_or_none(wanted.created_before)),
    ):
        if value is not None:
            terms.append(term)
            values.append(value)
    for label in wanted.labels:
        terms.append(
            "EXISTS (SELECT 1 FROM json_each(labels) AS l WHERE l.key = ? AND l.value = ?)"
        )
        values += label
    return " AND ".join(terms), values


def page(
    wanted: JobFilter, cursor: str | None, limit: int, connection: sqlite3.Connection
) -> JobPage:
    """Newest first, by id, which rises with the time of creation."""
    condition, values = where(wanted)
    if cursor is not None:
        condition += " AND id < ?"
        values.append(job_id_of(cursor))
    query = f"SELECT {AS_JSON} AS r FROM jobs WHERE {condition} ORDER BY id DESC LIMIT ?"
    rows = fetch(connection, query, (*values, limit + 1))
    jobs = tuple(to_job(row) for row in rows[:limit])
    return JobPage(jobs=jobs, next_cursor=cursor_after(jobs[-1].id) if len(rows) > limit else None)


def matching_ids(wanted: JobFilter, limit: int, connection: sqlite3.Connection) -> list[str]:
    """Oldest first."""
    condition, values = where(wanted)
    query = f"SELECT id FROM jobs WHERE {condition} ORDER BY id LIMIT ?"
    packed = f"SELECT json_group_array(id) FROM ({query})"
    (ids,) = connection.execute(packed, (*values, limit)).fetchone()
    return msgspec.json.decode(ids, type=list[str])


def count(wanted: JobFilter, connection: sqlite3.Connection) -> int:
    """How many fit."""
    condition, values = where(wanted)
    query = f"SELECT count(*) FROM jobs WHERE {condition}"
    return int(connection.execute(query, values).fetchone()[0])


def counts(live: bool, connection: sqlite3.Connection) -> Counts:
    """By state (`live`: by those that are no end), and what waits; both as of one moment."""
    query = statements.COUNT_LIVE if live else "SELECT state, count(*) FROM jobs GROUP BY state"
    connection.execute("BEGIN")
    try:
        states = connection.execute(query).fetchall()
        queued = connection.execute(statements.COUNT_WAITING).fetchall()
    finally:
        connection.execute("COMMIT")
    wanted = State if not live else (state for state in State if not state.terminal)
    by_state = dict.fromkeys(wanted, 0) | {State(state): number for state, number in states}
    waiting: Counter[tuple[str, str, int]] = Counter()
    for *alike, number in queued:
        waiting[tuple(alike)] += number
    return Counts(states=by_state, waiting=dict(waiting))


def events(job_id: str, connection: sqlite3.Connection) -> list[EventRecord]:
    """Oldest first."""
    rows = connection.execute(
        "SELECT time_us, job_type, kind, worker_id, message, run, attempt FROM events "
        "WHERE job_id = ? ORDER BY id",
        (job_id,),
    ).fetchall()
    return [
        EventRecord(
            time=seconds(time_us),
            job_id=job_id,
            job_type=job_type,
            kind=kind,
            worker_id=worker_id,
            message=message,
            run=run,
            attempt=attempt,
        )
        for time_us, job_type, kind, worker_id, message, run, attempt in rows
    ]


def assigned(assigned_by: str, connection: sqlite3.Connection) -> list[Job]:
    """The running jobs of one api, through the index of running jobs."""
    query = f"SELECT {AS_JSON} AS r FROM jobs WHERE state = 'running' AND assigned_by = ?"
    return [to_job(row) for row in fetch(connection, query, (assigned_by,))]


def misowned(limit: int, connection: sqlite3.Connection) -> list[Job]:
    """Live jobs whose owner does not fit their state, through the indexes of live states."""
    found: list[Job] = []
    for state, fitting in FITTING_OWNERS.items():
        owners = ", ".join(f"'{owner}'" for owner in sorted(fitting))
        lost = " OR incarnation IS NULL" if state is State.RUNNING else ""
        query = (
            f"SELECT {AS_JSON} AS r FROM jobs "
            f"WHERE state = '{state}' AND (owner NOT IN ({owners}){lost}) LIMIT ?"
        )
        found.extend(to_job(row) for row in fetch(connection, query, (limit,)))
    return found[:limit]


def ended(wanted: EndedRange, connection: sqlite3.Connection) -> EndedPage:
    """By id; of the rows in between only the columns that tell are read."""
    before = (wanted.before.get(State(state)) for state in statements.ENDED_STATES)
    values = (wanted.after, wanted.until, wanted.limit, *map(micros_or_none, before))
    packed, last_id = connection.execute(statements.WALK_ENDED, values).fetchone()
    rows = msgspec.json.decode(packed, type=list[tuple[str, str, State, int, int]])
    jobs = tuple(
        EndedJob(
            id=job_id,
            type=job_type,
            state=state,
            finished_at=seconds(finished_us),
            size_bytes=size,
        )
        for job_id, job_type, state, finished_us, size in rows
    )
    return EndedPage(jobs=jobs, last_id=last_id)
