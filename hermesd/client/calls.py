"""Every call of the api as a value: what is sent, what is read back, whether it may be repeated."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypedDict, TypeVar
from urllib.parse import quote

import msgspec

from hermesd.client import answers
from hermesd.client.dead import ErrorGroupList
from hermesd.client.encoding import json_body, moment
from hermesd.core.errors import InvalidValue

A = TypeVar("A")
Query = tuple[tuple[str, str], ...]

MAX_POLL_SECONDS: Final = 60.0
MAX_KEY_LENGTH: Final = 255


@dataclass(frozen=True, kw_only=True)
class Call(Generic[A]):
    """One request. `patience_seconds`: the api may take that much longer than the timeout.

    `repeatable`: carried out twice it does no harm. `answered` are statuses beside 2xx whose body
    is an answer of type `answer`.
    """

    method: str
    path: str
    answer: type[A]
    query: Query = ()
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    patience_seconds: float = 0.0
    repeatable: bool = True
    answered: frozenset[int] = frozenset()
    idempotency_key: str | None = None


class SubmitOptions(TypedDict, total=False):
    """What a submit may say beside type and payload; what it leaves out, type and config decide.

    `priority` is 0 to 10 or background, normal, high, critical; `timeout` is in seconds.
    `delay` (seconds) or `run_at` (RFC 3339, or aware) let the job wait for its time.
    """

    queue: str | None
    priority: int | str | None
    max_attempts: int | None
    timeout: float | None
    labels: Mapping[str, str] | None
    delay: float | None
    run_at: datetime | str | None
    idempotency_key: str | None


class NewJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job to submit; the fields as in SubmitOptions. `payload` is any value JSON can hold."""

    type: str
    payload: Any = msgspec.UNSET
    queue: str | None = None
    priority: int | str | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    labels: Mapping[str, str] | None = None
    delay: float | None = None
    run_at: datetime | str | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.run_at, datetime):
            moment(self.run_at)


class Filters(TypedDict, total=False):
    """What is asked of jobs; a sequence means any of them, `label` all of its pairs.

    `after` and `before` bound the time of creation, the `finished` ones that of the end. `text` is
    within the id or the error; `error` is that of a group of dead letters.
    """

    type: str | Sequence[str]
    queue: str | Sequence[str]
    priority: int | Sequence[int]
    label: Mapping[str, str]
    worker: str
    after: datetime | str
    before: datetime | str
    finished_after: datetime | str
    finished_before: datetime | str
    text: str
    error_kind: str
    error: str


class DlqFilters(Filters, total=False):
    """What a listing of dead jobs asks for."""

    id: str | Sequence[str]


class JobFilters(DlqFilters, total=False):
    """What a listing of jobs asks for."""

    state: str | Sequence[str]


def new_job(job_type: str, payload: object, options: SubmitOptions) -> NewJob:
    """The item of a submit; a `payload` that is UNSET is left out and means an empty object."""
    return NewJob(type=job_type, payload=payload, **options)


def submit(item: NewJob) -> Call[answers.Submission]:
    """POST /jobs, always with an idempotency key, so that it can be repeated."""
    key = item.idempotency_key or str(uuid.uuid4())
    if not (key.isascii() and key.isprintable() and key.strip() == key):
        raise InvalidValue("an idempotency key is printable ASCII without blanks around it")
    if len(key) > MAX_KEY_LENGTH:
        raise InvalidValue(f"an idempotency key has at most {MAX_KEY_LENGTH} characters")
    return Call(
        method="POST",
        path="/jobs",
        answer=answers.Submission,
        body=json_body(msgspec.structs.replace(item, idempotency_key=None)),
        headers={"idempotency-key": key},
        idempotency_key=key,
    )


def submit_batch(items: Sequence[NewJob]) -> Call[answers.BatchSubmission]:
    """POST /jobs/batch; an item without an idempotency key gets one."""
    keyed = [
        item
        if item.idempotency_key
        else msgspec.structs.replace(item, idempotency_key=str(uuid.uuid4()))
        for item in items
    ]
    return Call(
        method="POST",
        path="/jobs/batch",
        answer=answers.BatchSubmission,
        body=json_body({"jobs": keyed}),
    )


def job(job_id: str, *, wait_seconds: float = 0.0) -> Call[answers.JobAnswer]:
    """GET /jobs/{id}; with `wait_seconds` (at most 60) the answer waits for the run's end."""
    wait = min(max(wait_seconds, 0.0), MAX_POLL_SECONDS)
    return Call(
        method="GET",
        path=_job_path(job_id),
        answer=answers.JobAnswer,
        query=(("wait", f"{wait:.3f}"),) if wait else (),
        patience_seconds=wait,
    )


def jobs(
    filters: JobFilters, *, cursor: str | None = None, limit: int | None = None
) -> Call[answers.JobPage]:
    """GET /jobs: one page."""
    return Call(
        method="GET",
        path="/jobs",
        answer=answers.JobPage,
        query=(*_filter_query(filters), *_given(cursor=cursor, limit=limit)),
    )


def job_events(job_id: str) -> Call[answers.EventList]:
    """GET /jobs/{id}/events."""
    return Call(method="GET", path=_job_path(job_id) + "/events", answer=answers.EventList)


def job_logs(job_id: str, *, after: int = 0, limit: int | None = None) -> Call[answers.LogPage]:
    """GET /jobs/{id}/logs: lines numbered above `after`, oldest first."""
    return Call(
        method="GET",
        path=_job_path(job_id) + "/logs",
        answer=answers.LogPage,
        query=_given(after=after or None, limit=limit),
    )


def retry(job_id: str) -> Call[answers.JobAnswer]:
    """POST /jobs/{id}/retry: not repeatable, the job may have failed anew in between."""
    return Call(
        method="POST",
        path=_job_path(job_id) + "/retry",
        answer=answers.JobAnswer,
        repeatable=False,
    )


def cancel(job_id: str) -> Call[answers.JobAnswer]:
    """DELETE /jobs/{id}: not repeatable, the second one would be told that the job has ended."""
    return Call(method="DELETE", path=_job_path(job_id), answer=answers.JobAnswer, repeatable=False)


def workers() -> Call[answers.WorkerList]:
    """GET /workers."""
    return Call(method="GET", path="/workers", answer=answers.WorkerList)


def types() -> Call[answers.TypeList]:
    """GET /types."""
    return Call(method="GET", path="/types", answer=answers.TypeList)


def recent_events(
    *, limit: int | None = None, kind: str | None = None, job_id: str | None = None
) -> Call[answers.EventList]:
    """GET /events: what the api still has in memory, newest first."""
    return Call(
        method="GET",
        path="/events",
        answer=answers.EventList,
        query=_given(limit=limit, kind=kind, job_id=job_id),
    )


def dlq(
    filters: DlqFilters, *, cursor: str | None = None, limit: int | None = None
) -> Call[answers.JobPage]:
    """GET /dlq: failed jobs, newest first."""
    return Call(
        method="GET",
        path="/dlq",
        answer=answers.JobPage,
        query=(*_filter_query(filters), *_given(cursor=cursor, limit=limit)),
    )


def dlq_groups(filters: Filters, *, limit: int | None = None) -> Call[ErrorGroupList]:
    """GET /dlq/groups: of failed jobs, by type and error."""
    return Call(
        method="GET",
        path="/dlq/groups",
        answer=ErrorGroupList,
        query=(*_filter_query(filters), *_given(limit=limit)),
    )


def stats() -> Call[answers.Stats]:
    """GET /stats."""
    return Call(method="GET", path="/stats", answer=answers.Stats)


def health() -> Call[answers.Health]:
    """GET /health."""
    return Call(method="GET", path="/health", answer=answers.Health)


def ready() -> Call[answers.Readiness]:
    """GET /ready; its 503 is an answer too."""
    return Call(method="GET", path="/ready", answer=answers.Readiness, answered=frozenset({503}))


def _job_path(job_id: str) -> str:
    if not job_id or job_id in (".", ".."):
        raise InvalidValue(f"{job_id!r} is no job id")
    return "/jobs/" + quote(job_id, safe="")


def _given(**members: str | int | None) -> Query:
    return tuple((name, str(value)) for name, value in members.items() if value is not None)


def _filter_query(filters: Filters) -> Query:
    pairs: list[tuple[str, str]] = []
    for name, value in filters.items():
        if isinstance(value, Mapping):
            pairs += [(name, f"{key}:{wanted}") for key, wanted in value.items()]
        elif isinstance(value, str | datetime):
            pairs.append((name, moment(value)))
        elif isinstance(value, Sequence):
            pairs += [(name, str(wanted)) for wanted in value]
        else:
            pairs.append((name, str(value)))
    return tuple(pairs)
