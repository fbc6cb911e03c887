"""Jobs as rows of a table, the same in every database.

Several at a time travel as one JSON text, payloads and results as strings within it, so that they
are stored byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from hermesd.core.backoff import Backoff
from hermesd.core.job import ErrorInfo, Job, Owner, Rung
from hermesd.core.states import State
from hermesd.stores.backend import ItemFault
from hermesd.stores.micros import PER_SECOND, seconds, seconds_or_none

IDENTITY: Final = (
    "id",
    "type",
    "queue",
    "priority",
    "payload",
    "max_attempts",
    "timeout_us",
    "backoff",
    "labels",
    "crash_limit",
    "created_us",
    "trace_context",
    "limit_key",
)
CHANGING: Final = (
    "state",
    "attempts",
    "run",
    "lease",
    "owner",
    "rung",
    "assigned_by",
    "worker_id",
    "incarnation",
    "crash_count",
    "cancel_requested",
    "updated_us",
    "enqueued_us",
    "run_us",
    "started_us",
    "finished_us",
    "result",
    "error",
    "order_key",
)
COLUMNS: Final = IDENTITY + CHANGING
QUALIFIED: Final = ", ".join(f"jobs.{name}" for name in COLUMNS)


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One row, in the order of COLUMNS."""

    id: str
    type: str
    queue: str
    priority: int
    payload: str
    max_attempts: int
    timeout_us: int
    backoff: str
    labels: str
    crash_limit: int
    created_us: int
    trace_context: str | None
    limit_key: str | None
    state: State
    attempts: int
    run: int
    lease: int
    owner: Owner
    rung: Rung | None
    assigned_by: str | None
    worker_id: str | None
    incarnation: str | None
    crash_count: int
    cancel_requested: int
    updated_us: int
    enqueued_us: int | None
    run_us: int | None
    started_us: int | None
    finished_us: int | None
    result: str | None
    error: str | None
    order_key: int


def identity(job: Job) -> tuple[Any, ...]:
    """The values of IDENTITY, which never change."""
    return (
        job.id,
        job.type,
        job.queue,
        job.priority,
        text(job.payload),
        job.max_attempts,
        round(job.timeout * PER_SECOND),
        _backoff_text(job.backoff),
        msgspec.json.encode(job.labels).decode() if job.labels else "{}",
        job.crash_limit,
        round(job.created_at * PER_SECOND),
        job.trace_context,
        job.limit_key,
    )


def changing(job: Job, order_key: int) -> tuple[Any, ...]:
    """The values of CHANGING."""
    enqueued, run, started, finished = job.enqueued_at, job.run_at, job.started_at, job.finished_at
    return (
        job.state,
        job.attempts,
        job.run,
        job.lease,
        job.owner,
        job.rung,
        job.assigned_by,
        job.worker_id,
        job.incarnation,
        job.crash_count,
        int(job.cancel_requested),
        # Written out: a call for each would double the time for the whole row.
        round(job.updated_at * PER_SECOND),
        None if enqueued is None else round(enqueued * PER_SECOND),
        None if run is None else round(run * PER_SECOND),
        None if started is None else round(started * PER_SECOND),
        None if finished is None else round(finished * PER_SECOND),
        None if job.result is None else text(job.result),
        None if job.error is None else msgspec.json.encode(job.error).decode(),
        order_key,
    )


def row_of(job: Job, order_key: int) -> tuple[Any, ...]:
    """The values of COLUMNS."""
    return identity(job) + changing(job, order_key)


def text(raw: bytes | msgspec.Raw) -> str:
    """JSON bytes as text; raises UnicodeDecodeError for what is not UTF-8."""
    return str(raw, "utf-8")


@lru_cache(maxsize=256)  # most jobs share a handful, and each is checked when it is made
def _backoff(encoded: str) -> Backoff:
    return msgspec.json.decode(encoded, type=Backoff)


@lru_cache(maxsize=256)
def _backoff_text(backoff: Backoff) -> str:
    return msgspec.json.encode(backoff).decode()


def to_job(row: Row) -> Job:
    """The job of a row."""
    return Job(
        id=row.id,
        type=row.type,
        payload=msgspec.Raw(row.payload.encode()),
        queue=row.queue,
        priority=row.priority,
        state=row.state,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        timeout=seconds(row.timeout_us),
        backoff=_backoff(row.backoff),
        labels={} if row.labels == "{}" else msgspec.json.decode(row.labels, type=dict[str, str]),
        run=row.run,
        lease=row.lease,
        owner=row.owner,
        rung=row.rung,
        assigned_by=row.assigned_by,
        worker_id=row.worker_id,
        incarnation=row.incarnation,
        crash_count=row.crash_count,
        crash_limit=row.crash_limit,
        cancel_requested=bool(row.cancel_requested),
        created_at=seconds(row.created_us),
        updated_at=seconds(row.updated_us),
        enqueued_at=seconds_or_none(row.enqueued_us),
        run_at=seconds_or_none(row.run_us),
        started_at=seconds_or_none(row.started_us),
        finished_at=seconds_or_none(row.finished_us),
        result=None if row.result is None else msgspec.Raw(row.result.encode()),
        error=None if row.error is None else msgspec.json.decode(row.error, type=ErrorInfo),
        trace_context=row.trace_context,
        limit_key=row.limit_key,
    )


def as_json(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as the one parameter of a statement; raises ItemFault for a NUL in any text."""
    encoded = msgspec.json.encode(rows)
    refuse_nul(encoded, rows)
    return encoded.decode()


def refuse_nul(encoded: bytes, rows: Iterable[Iterable[Any]]) -> None:
    """Raise ItemFault for a NUL in a text of `rows`, which `encoded` is the JSON of.

    SQLite's JSON ends a text at a NUL, and PostgreSQL has none: better refused than cut.
    """
    if b"\\u0000" in encoded and any(_has_nul(value) for row in rows for value in row):
        raise ItemFault("a text holds a NUL character")


def _has_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value
