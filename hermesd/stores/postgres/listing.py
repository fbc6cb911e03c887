"""What is asked about jobs: pages of a listing, counts, events. Each runs in a reading thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

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
from hermesd.core.searches import ErrorGroups, Reach, Walked
from hermesd.core.states import State
from hermesd.stores import search
from hermesd.stores.event_rows import OF_JOB, to_event
from hermesd.stores.micros import micros_or_none, seconds
from hermesd.stores.postgres.connection import BoundedConnection
from hermesd.stores.postgres.words import BRIEF, PostgresWords, by_ids, fetch
from hermesd.stores.rows import to_job

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
EVENTS: Final = OF_JOB.replace("?", "%s")
ASSIGNED: Final = f"SELECT {BRIEF} FROM jobs WHERE state = 'running' AND assigned_by = %s"


def get(job_id: str, connection: BoundedConnection) -> Job | None:
    """One job, with all that it carries."""
    rows = by_ids((job_id,), connection)
    return to_job(rows[0]) if rows else None


def get_many(job_ids: Sequence[str], connection: BoundedConnection) -> list[Job]:
    """Those of the jobs that exist, in brief."""
    return [to_job(row) for row in by_ids(job_ids, connection, brief=True)]


def page(
    wanted: JobFilter, cursor: str | None, limit: int, connection: BoundedConnection
) -> JobPage:
    """Newest first."""
    return search.page(PostgresWords(connection), wanted, cursor, limit)


def walk(wanted: JobFilter, reach: Reach, connection: BoundedConnection) -> Walked:
    """Oldest first."""
    return search.walk(PostgresWords(connection), wanted, reach)


def error_groups(wanted: JobFilter, connection: BoundedConnection) -> ErrorGroups:
    """Of the newest failed jobs."""
    return search.error_groups(PostgresWords(connection), wanted)


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
    return [to_event(row) for row in connection.execute(EVENTS.encode(), (job_id,))]


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
            f"SELECT {BRIEF} FROM jobs "
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
