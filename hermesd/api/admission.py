"""Whether a request may become a job, and the job that it becomes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec

from hermesd.api.catalogue import Catalogue
from hermesd.api.ids import JobIds
from hermesd.config import JobsSection
from hermesd.config.live import Live
from hermesd.core.backoff import Backoff
from hermesd.core.due import due_at
from hermesd.core.errors import (
    HermesError,
    InvalidBatch,
    InvalidValue,
    TooLarge,
    UnknownQueue,
)
from hermesd.core.job import DEFAULT_PRIORITY, DEFAULT_QUEUE, Job, priority_of
from hermesd.core.jobtype import JobType, TypeDefaults, check_type_name
from hermesd.core.records import IdempotencyKey
from hermesd.core.states import State

MAX_KEY_LENGTH = 256
MAX_BATCH_ERRORS = 100
MOST_ATTEMPTS = 1000
# Types that are remembered; a catch-all makes any name a type.
MOST_TERMS = 1000


T = TypeVar("T")

_NOTHING: Final = TypeDefaults()
_QUEUED: Final = State.QUEUED
_SCHEDULED: Final = State.SCHEDULED


def _empty_payload() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class JobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client asks for; None leaves a value to the type's defaults or the configuration.

    `delay` (seconds) or `run_at` (RFC 3339 with a time zone) say that the job is to wait.
    """

    type: str
    payload: msgspec.Raw = msgspec.field(default_factory=_empty_payload)
    queue: str | None = None
    priority: int | str | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    labels: dict[str, str] = {}
    delay: float | None = None
    run_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    idempotency_key: str | None = None


class _Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a job of one type gets where its request says nothing, by configuration and type."""

    job_type: JobType
    queue: str
    priority: int
    max_attempts: int
    timeout: float
    backoff: Backoff
    crash_limit: int
    fit: bool  # whether its attempts and its timeout are within the limits


class Admission:
    """Checks requests against catalogue and configuration; nothing here does I/O."""

    def __init__(self, live: Live, catalogue: Catalogue):
        self._live = live
        self._catalogue = catalogue
        self._ids = JobIds()
        self._terms: dict[str, _Terms] = {}
        self._terms_of_version = (live.config.jobs, catalogue.version)

    def jobs(
        self, requests: Sequence[JobRequest], now: float, trace_context: str | None = None
    ) -> list[Job]:
        """The queued jobs that the requests of a batch ask for.

        Raises InvalidBatch with `errors` by index, TooLarge where there are too many requests.
        """
        most = self._live.config.api.max_batch_items
        if len(requests) > most:
            raise TooLarge(f"a batch has at most {most} jobs")
        self._keep_terms()
        jobs: list[Job] = []
        errors: list[dict[str, object]] = []
        for index, request in enumerate(requests):
            try:
                jobs.append(self._job(request, now, trace_context))
            except HermesError as error:
                errors.append(
                    {"index": index, "type": error.slug, "detail": error.detail, **error.extra}
                )
                if len(errors) >= MAX_BATCH_ERRORS:
                    break
        if errors:
            raise InvalidBatch(
                f"{len(errors)} of {len(requests)} jobs are at fault; none was stored",
                errors=errors,
            )
        return jobs

    def job(self, request: JobRequest, now: float, trace_context: str | None = None) -> Job:
        """The queued or scheduled job that a request asks for; raises what is wrong with it."""
        self._keep_terms()
        return self._job(request, now, trace_context)

    def _job(self, request: JobRequest, now: float, trace_context: str | None) -> Job:
        config = self._live.config
        terms = self._terms.get(request.type) or self._terms_of(request.type)
        if len(request.payload) > config.api.max_payload_bytes:
            raise TooLarge(
                f"the payload has {len(request.payload)} bytes, "
                f"at most {config.api.max_payload_bytes} are allowed"
            )
        self._catalogue.validate(terms.job_type, request.payload)
        queue = request.queue or terms.queue
        if queue not in config.queues:
            known = sorted(config.queues)
            raise UnknownQueue(
                f"queue {queue[:80]!r} is not declared; declared are {', '.join(known)}",
                known=known,
            )
        asked, due = request.priority, None
        if request.delay is not None or request.run_at is not None:
            due = self._due(request, now)
        max_attempts, timeout = terms.max_attempts, terms.timeout
        if request.max_attempts is not None or request.timeout is not None or not terms.fit:
            max_attempts = self._max_attempts(request.max_attempts, terms)
            timeout = self._timeout(request.timeout, terms)
        return Job(
            id=self._ids.new(now),
            type=request.type,
            payload=request.payload.copy(),
            queue=queue,
            priority=terms.priority if asked is None else priority_of(asked),
            max_attempts=max_attempts,
            timeout=timeout,
            backoff=terms.backoff,
            labels=request.labels and self._labels(request.labels),
            crash_limit=terms.crash_limit,
            created_at=now,
            updated_at=now,
            enqueued_at=now if due is None else None,
            state=_QUEUED if due is None else _SCHEDULED,
            run_at=due,
            trace_context=trace_context,
        )

    def _keep_terms(self) -> None:
        """Forget them where configuration or catalogue is another."""
        jobs, version = self._live.config.jobs, self._catalogue.version
        known_jobs, known_version = self._terms_of_version
        if jobs is not known_jobs or version != known_version:
            self._terms.clear()
            self._terms_of_version = (jobs, version)

    def _terms_of(self, name: str) -> _Terms:
        """Those of a type called so; raises UnknownType, InvalidValue where it cannot be one."""
        jobs = self._live.config.jobs
        job_type = self._catalogue.find(check_type_name(name))
        if len(self._terms) >= MOST_TERMS:
            self._terms.clear()
        terms = self._terms[name] = _terms(job_type, jobs.types.get(name), jobs)
        return terms

    def _max_attempts(self, asked: int | None, terms: _Terms) -> int:
        value = terms.max_attempts if asked is None else asked
        most = _most_attempts(self._live.config.jobs)
        if not 1 <= value <= most:
            raise InvalidValue(f"max_attempts must be from 1 to {most}, got {value}")
        return value

    def _timeout(self, asked: float | None, terms: _Terms) -> float:
        most = self._live.config.jobs.max_timeout_seconds
        value = terms.timeout if asked is None else asked
        if not 0 < value <= most:
            raise InvalidValue(
                f"timeout must be above 0 and at most {most:g} seconds, got {value:g}"
            )
        return value

    def _due(self, request: JobRequest, now: float) -> float | None:
        at = None if request.run_at is None else request.run_at.timestamp()
        return due_at(request.delay, at, now, self._live.config.jobs.max_delay_seconds)

    def _labels(self, labels: dict[str, str]) -> dict[str, str]:
        limits = self._live.config.jobs
        if len(labels) > limits.max_labels:
            raise InvalidValue(f"a job has at most {limits.max_labels} labels, got {len(labels)}")
        for name, value in labels.items():
            if not name or max(len(name.encode()), len(value.encode())) > limits.max_label_bytes:
                raise InvalidValue(
                    f"label {name[:80]!r}: name and value have at most "
                    f"{limits.max_label_bytes} bytes, and the name at least one"
                )
            if "\0" in name or "\0" in value:
                raise InvalidValue(f"label {name[:80]!r} contains a NUL character")
        return labels

    def key(self, request: JobRequest, principal: str, now: float) -> IdempotencyKey | None:
        """The request's idempotency key as the store keeps it, None where it has none."""
        key = request.idempotency_key
        if key is None:
            return None
        if not 0 < len(key) <= MAX_KEY_LENGTH:
            raise InvalidValue(f"an idempotency key has 1 to {MAX_KEY_LENGTH} characters")
        body = msgspec.structs.replace(request, idempotency_key=None)
        return IdempotencyKey(
            principal=principal,
            key_hash=hashlib.sha256(key.encode()).hexdigest(),
            body_hash=hashlib.sha256(msgspec.json.encode(body)).hexdigest(),
            expires_at=now + self._live.config.jobs.idempotency_ttl_seconds,
        )


def _terms(job_type: JobType, configured: TypeDefaults | None, jobs: JobsSection) -> _Terms:
    """The operator's word on the type comes first, then the type's own, then the general one."""
    mine, own = configured or _NOTHING, job_type.defaults
    max_attempts = _first(mine.max_attempts, own.max_attempts, jobs.max_attempts)
    timeout = _first(mine.timeout, own.timeout, jobs.timeout_seconds)
    return _Terms(
        job_type=job_type,
        queue=mine.queue or own.queue or DEFAULT_QUEUE,
        priority=_first(mine.priority, own.priority, DEFAULT_PRIORITY),
        max_attempts=max_attempts,
        timeout=timeout,
        backoff=mine.backoff or own.backoff or jobs.backoff,
        crash_limit=mine.crash_limit or own.crash_limit or jobs.crash_limit,
        fit=(1 <= max_attempts <= _most_attempts(jobs) and 0 < timeout <= jobs.max_timeout_seconds),
    )


def _most_attempts(jobs: JobsSection) -> int:
    return max(MOST_ATTEMPTS, jobs.max_attempts)


def _first(mine: T | None, own: T | None, general: T) -> T:
    if mine is not None:
        return mine
    return general if own is None else own
