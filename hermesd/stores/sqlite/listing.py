"""What is asked about jobs: pages of a listing, counts, events. Each runs in a reading thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

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
from hermesd.core.searches import ErrorGroups, Reach, Walked
from hermesd.core.states import State
from hermesd.stores import search
from hermesd.stores.event_rows import OF_JOB, to_event
from hermesd.stores.micros import micros_or_none, seconds
from hermesd.stores.rows import to_job
from hermesd.stores.sqlite import statements
from hermesd.stores.sqlite.connection import Connection
from hermesd.stores.sqlite.rows import BRIEF, fetch
from hermesd.stores.sqlite.words import SqliteWords, by_ids


def get(job_id: str, connection: Connection) -> Job | None:
    """One job, with all that it carries."""
    rows = by_ids((job_id,), connection)
    return to_job(rows[0]) if rows else None


def get_many(job_ids: Sequence[str], connection: Connection) -> list[Job]:
    """Those of the jobs that exist, in brief."""
    return [to_job(row) for row in by_ids(job_ids, connection, brief=True)]


def page(wanted: JobFilter, cursor: str | None, limit: int, connection: Connection) -> JobPage:
    """Newest first."""
    return search.page(SqliteWords(connection), wanted, cursor, limit)


def walk(wanted: JobFilter, reach: Reach, connection: Connection) -> Walked:
    """Oldest first."""
    return search.walk(SqliteWords(connection), wanted, reach)


def error_groups(wanted: JobFilter, connection: Connection) -> ErrorGroups:
    """Of the newest failed jobs."""
    return search.error_groups(SqliteWords(connection), wanted)


def counts(live: bool, connection: Connection) -> Counts:
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


def events(job_id: str, connection: Connection) -> list[EventRecord]:
    """Oldest first."""
    return [to_event(row) for row in connection.execute(OF_JOB, (job_id,)).fetchall()]


def assigned(assigned_by: str, connection: Connection) -> list[Job]:
    """The running jobs of one api, through the index of running jobs."""
    query = f"SELECT {BRIEF} AS r FROM jobs WHERE state = 'running' AND assigned_by = ?"
    return [to_job(row) for row in fetch(connection, query, (assigned_by,))]


def misowned(limit: int, connection: Connection) -> list[Job]:
    """Live jobs whose owner does not fit their state, through the indexes of live states."""
    found: list[Job] = []
    for state, fitting in FITTING_OWNERS.items():
        owners = ", ".join(f"'{owner}'" for owner in sorted(fitting))
        lost = " OR incarnation IS NULL" if state is State.RUNNING else ""
        query = (
            f"SELECT {BRIEF} AS r FROM jobs "
            f"WHERE state = '{state}' AND (owner NOT IN ({owners}){lost}) LIMIT ?"
        )
        found.extend(to_job(row) for row in fetch(connection, query, (limit,)))
    return found[:limit]


def ended(wanted: EndedRange, connection: Connection) -> EndedPage:
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
