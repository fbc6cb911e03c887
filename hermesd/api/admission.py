"""Whether a request may become a job, and the job that it becomes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import msgspec

from hermesd.api.catalogue import Catalogue
from hermesd.config import Config
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

MAX_KEY_LENGTH = 256
MAX_BATCH_ERRORS = 100
MOST_ATTEMPTS = 1000


def _empty_payload() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class JobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client asks for; None leaves a value to the type's defaults or the configuration."""

    type: str
    payload: msgspec.Raw = msgspec.field(default_factory=_empty_payload)
    queue: str | None = None
    priority: int | str | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    labels: dict[str, str] = {}
    idempotency_key: str | None = None


class Admission:
    """Checks requests against catalogue and configuration; nothing here does I/O."""

    def __init__(self, config: Config, catalogue: Catalogue):
        self._config = config
        self._catalogue = catalogue

    def jobs(self, requests: Sequence[JobRequest], now: float) -> list[Job]:
        """The queued jobs that the requests ask for.

        Raises the error of a lone request itself, InvalidBatch with `errors` by index otherwise.
        """
        if len(requests) > self._config.api.max_batch_items:
            raise TooLarge(f"a batch has at most {self._config.api.max_batch_items} jobs")
        if len(requests) == 1:
            return [self._job(requests[0], now)]
        jobs: list[Job] = []
        errors: list[dict[str, object]] = []
        for index, request in enumerate(requests):
            try:
                jobs.append(self._job(request, now))
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

    def _job(self, request: JobRequest, now: float) -> Job:
        config = self._config
        job_type = self._catalogue.find(check_type_name(request.type))
        if len(request.payload) > config.api.max_payload_bytes:
            raise TooLarge(
                f"the payload has {len(request.payload)} bytes, "
                f"at most {config.api.max_payload_bytes} are allowed"
            )
        self._catalogue.validate(job_type, request.payload)
        defaults = config.jobs.types.get(request.type, TypeDefaults())
        queue = request.queue or defaults.queue or job_type.defaults.queue or DEFAULT_QUEUE
        if queue not in config.queues:
            known = sorted(config.queues)
            raise UnknownQueue(
                f"queue {queue[:80]!r} is not declared; declared are {', '.join(known)}",
                known=known,
            )
        return Job(
            id=new_job_id(now),
            type=request.type,
            payload=request.payload.copy(),
            queue=queue,
            priority=self._priority(request, defaults, job_type),
            max_attempts=self._max_attempts(request, defaults, job_type),
            timeout=self._timeout(request, defaults, job_type),
            backoff=defaults.backoff or job_type.defaults.backoff or config.jobs.backoff,
            labels=self._labels(request.labels),
            crash_limit=(
                defaults.crash_limit or job_type.defaults.crash_limit or config.jobs.crash_limit
            ),
            created_at=now,
            updated_at=now,
            enqueued_at=now,
        )

    def _priority(self, request: JobRequest, mine: TypeDefaults, job_type: JobType) -> int:
        for value in (request.priority, mine.priority, job_type.defaults.priority):
            if value is not None:
                return priority_of(value)
        return DEFAULT_PRIORITY

    def _max_attempts(self, request: JobRequest, mine: TypeDefaults, job_type: JobType) -> int:
        for value in (request.max_attempts, mine.max_attempts, job_type.defaults.max_attempts):
            if value is not None:
                if not 1 <= value <= MOST_ATTEMPTS:
                    raise InvalidValue(
                        f"max_attempts must be from 1 to {MOST_ATTEMPTS}, got {value}"
                    )
                return value
        return self._config.jobs.max_attempts

    def _timeout(self, request: JobRequest, mine: TypeDefaults, job_type: JobType) -> float:
        most = self._config.jobs.max_timeout_seconds
        for value in (request.timeout, mine.timeout, job_type.defaults.timeout):
            if value is not None:
                if not 0 < value <= most:
                    raise InvalidValue(
                        f"timeout must be above 0 and at most {most:g} seconds, got {value:g}"
                    )
                return value
        return self._config.jobs.timeout_seconds

    def _labels(self, labels: dict[str, str]) -> dict[str, str]:
        limits = self._config.jobs
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
            expires_at=now + self._config.jobs.idempotency_ttl_seconds,
        )


def new_job_id(now: float) -> str:
    """A UUIDv7 (RFC 9562 5.7) as text: the millisecond first, so that inserts are local."""
    millis = int(now * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    value = (millis & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | random & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
