"""What is asked about jobs: pages of a listing, counts, events. Each runs in a reading thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hermesd.core.job import FITTING_OWNERS, Job
from hermesd.core.notes import LINE_BYTES
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
from hermesd.stores.postgres.connection import BoundedConnection
from hermesd.stores.rows import COLUMNS, Row, to_job

_COLUMNS: Final = ", ".join(f"jobs.{name}" for name in COLUMNS)
BY_IDS: Final = f"SELECT {_COLUMNS} FROM jobs WHERE id = ANY(%s)"
COUNT_WAITING: Final = (
    "SELECT queue, type, priority, count(*) FROM jobs WHERE state = 'queued' "
    "GROUP BY queue, type, priority"
)
COUNT_ALL: Final = "SELECT state, count(*) FROM jobs GROUP BY state"
# Each through the index of its state.
COUNT_LIVE: Final = " UNION ALL ".join(
    f"SELECT '{one}', count(*) FROM jobs WHERE state = '{one}'"
    for one in ("scheduled", "queued", "running")
)
_ENDED_STATES: Final = ("succeeded", "failed", "cancelled")
_DUE_TO_GO: Final = " OR ".join(f"(state = '{one}' AND finished_us <= %s)" for one in _ENDED_STATES)
WALK_ENDED: Final = (
    "WITH walked AS MATERIALIZED (SELECT id, type, state, finished_us, "
    "octet_length(payload) + coalesce(octet_length(result), 0) AS size "
    "FROM jobs WHERE id > %s AND id < %s ORDER BY id LIMIT %s) "
    f"SELECT id, type, state, finished_us, size + {LINE_BYTES} * (SELECT count(*) FROM job_logs "
    f"WHERE job_logs.job_id = walked.id), {_DUE_TO_GO} FROM walked ORDER BY id"
)
EVENTS: Final = (
    "SELECT time_us, job_type, kind, worker_id, message, run, attempt FROM events "
    "WHERE job_id = %s ORDER BY id"
)
ASSIGNED: Final = f"SELECT {_COLUMNS} FROM jobs WHERE state = 'running' AND assigned_by = %s"


def fetch(connection: BoundedConnection, query: str, values: Sequence[Any] = ()) -> list[Row]:
    """The rows of a query for the columns of COLUMNS."""
    found = connection.execute(query.encode(), values).fetchall()
    return msgspec.convert(found, list[Row])


def by_ids(job_ids: Sequence[str], connection: BoundedConnection) -> list[Row]:
    """The rows of those jobs that exist, in no particular order."""
    # What has a NUL in it is nowhere, and cannot be asked for.
    wanted = [job_id for job_id in set(job_ids) if "\0" not in job_id]
    return fetch(connection, BY_IDS, (wanted,))


def get_many(job_ids: Sequence[str], connection: BoundedConnection) -> list[Job]:
    """Those of the jobs that exist."""
    return [to_job(row) for row in by_ids(job_ids, connection)]


def where(wanted: JobFilter) -> tuple[str, list[Any]]:
    """The condition of a filter and its values.

    Labels and errors are JSON texts as msgspec writes them, and are searched as texts: PostgreSQL
    cannot take all of them for JSON (`\\u0000`).
    """
    terms: list[str] = ["true"]
    values: list[Any] = []
    if wanted.states:
        states = ", ".join(f"'{State(state)}'" for state in wanted.states)
        terms.append(f"state IN ({states})")
    kind = wanted.error_kind
    for term, value in (
        ("type = ANY(%s)", list(wanted.types) or None),
        ("queue = ANY(%s)", list(wanted.queues) or None),
        ("id = ANY(%s)", list(wanted.ids) or None),
        ("worker_id = %s", wanted.worker_id),
        ("starts_with(error, %s)", None if kind is None else '{"kind":' + _json(kind)),
        ("created_us >= %s", micros_or_none(wanted.created_after)),
        ("created_us < %s", micros_or_none(wanted.created_before)),
    ):
        if value is not None:
            terms.append(term)
            values.append(value)
    for name, value in wanted.labels:
        pair = f"{_json(name)}:{_json(value)}"
        # No text within the JSON has a bare quote after a brace or comma.
        terms.append("(strpos(labels, %s) > 0 OR strpos(labels, %s) > 0)")
        values += ["{" + pair, "," + pair]
    return " AND ".join(terms), values


def _json(value: str) -> str:
    return msgspec.json.encode(value).decode()


def page(
    wanted: JobFilter, cursor: str | None, limit: int, connection: BoundedConnection
) -> JobPage:
    """Newest first, by id, which rises with the time of creation."""
    condition, values = where(wanted)
    if cursor is not None:
        condition += " AND id < %s"
        values.append(job_id_of(cursor))
    query = f"SELECT {_COLUMNS} FROM jobs WHERE {condition} ORDER BY id DESC LIMIT %s"
    rows = fetch(connection, query, (*values, limit + 1))
    jobs = tuple(to_job(row) for row in rows[:limit])
    return JobPage(jobs=jobs, next_cursor=cursor_after(jobs[-1].id) if len(rows) > limit else None)


def matching_ids(wanted: JobFilter, limit: int, connection: BoundedConnection) -> list[str]:
    """Oldest first."""
    condition, values = where(wanted)
    query = f"SELECT id FROM jobs WHERE {condition} ORDER BY id LIMIT %s"
    return [job_id for (job_id,) in connection.execute(query.encode(), (*values, limit))]


def count(wanted: JobFilter, connection: BoundedConnection) -> int:
    """How many fit."""
    condition, values = where(wanted)
    query = f"SELECT count(*) FROM jobs WHERE {condition}"
    return _number(connection.execute(query.encode(), values).fetchall())


def _number(rows: Sequence[Sequence[Any]]) -> int:
    return int(rows[0][0])


def counts(live: bool, connection: BoundedConnection) -> Counts:
    """By state (`live`: by those that are no end), and what waits; both as of one moment."""
    query = COUNT_LIVE if live else COUNT_ALL
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    states = connection.execute(query.encode()).fetchall()
    queued = connection.execute(COUNT_WAITING).fetchall()
    connection.execute("COMMIT")
    wanted = State if not live else (state for state in State if not state.terminal)
    by_state = dict.fromkeys(wanted, 0) | {State(state): number for state, number in states}
    waiting: Counter[tuple[str, str, int]] = Counter()
    for *alike, number in queued:
        waiting[tuple(alike)] += number
    return Counts(states=by_state, waiting=dict(waiting))


def events(job_id: str, connection: BoundedConnection) -> list[EventRecord]:
    """Oldest first."""
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
        for time_us, job_type, kind, worker_id, message, run, attempt in connection.execute(
            EVENTS, (job_id,)
        )
    ]


def assigned(assigned_by: str, connection: BoundedConnection) -> list[Job]:
    """The running jobs of one api, through the index of running jobs."""
    return [to_job(row) for row in fetch(connection, ASSIGNED, (assigned_by,))]


def misowned(limit: int, connection: BoundedConnection) -> list[Job]:
    """Live jobs whose owner does not fit their state, through the indexes of live states."""
    found: list[Job] = []
    for state, fitting in FITTING_OWNERS.items():
        owners = ", ".join(f"'{owner}'" for owner in sorted(fitting))
        lost = " OR incarnation IS NULL" if state is State.RUNNING else ""
        query = (
            f"SELECT {_COLUMNS} FROM jobs "
            f"WHERE state = '{state}' AND (owner NOT IN ({owners}){lost}) LIMIT %s"
        )
        found.extend(to_job(row) for row in fetch(connection, query, (limit,)))
    return found[:limit]


def ended(wanted: EndedRange, connection: BoundedConnection) -> EndedPage:
    """By id; of the rows in between only the columns that tell are read."""
    before = [micros_or_none(wanted.before.get(State(state))) for state in _ENDED_STATES]
    values = (wanted.after, wanted.until, wanted.limit, *before)
    rows = connection.execute(WALK_ENDED.encode(), values).fetchall()
    jobs = tuple(
        EndedJob(
            id=job_id,
            type=job_type,
            state=State(state),
            finished_at=seconds(finished_us),
            size_bytes=size,
        )
        for job_id, job_type, state, finished_us, size, due in rows
        if due
    )
    return EndedPage(jobs=jobs, last_id=rows[-1][0] if rows else None)
