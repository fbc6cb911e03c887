"""What goes through the broker: jobs, and outcomes that no api could be told.

The format is a contract with workers in any language: "Messages" in proto/README.md, and the JSON
Schemas in proto/hermes/v1, which are those of the structs here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from hermesd.core.amqp_names import OUTCOMES_KEY, band_of, routing_key
from hermesd.core.broker import Argument, Message
from hermesd.core.errors import InvalidValue, TooLarge
from hermesd.core.fleet import DispatchItem
from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, ErrorInfo, Token
from hermesd.core.messages import JobMessage, OutcomeMessage, Stamp
from hermesd.core.outcome import Outcome, OutcomeKind

__all__ = [
    "JOB",
    "OUTCOME",
    "VERSION",
    "JobBody",
    "JobMessage",
    "MessageCodec",
    "OutcomeBody",
    "OutcomeMessage",
    "Stamp",
    "Undecodable",
    "stamp_of",
]

VERSION: Final = 1
JOB: Final = "hermes.job"  # these two are AMQP's property "type"
OUTCOME: Final = "hermes.outcome"
_SHOWN_CHARS: Final = 200
_PLACE = re.compile(r" - at `(?P<place>.*)`\Z")

# `(?![\s\S])` is the end of a text in Python's and in JSON Schema's regular expressions.
Word = Annotated[
    str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]+(?![\s\S])")
]
Lease = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Priority = Annotated[int, Meta(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)]
Number = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Seconds = Annotated[float, Meta(ge=0, le=1e11)]  # some three thousand years
Timeout = Annotated[float, Meta(gt=0, le=1e11)]
BodyT = TypeVar("BodyT", "JobBody", "OutcomeBody")


class Undecodable(InvalidValue):
    """A message is not what its queue should hold: `what` it should be, and `where` it is not."""

    slug = "undecodable"
    title = "Undecodable message"

    def __init__(self, what: str, where: str, reason: str) -> None:
        super().__init__(f"no {what}: {where}: {reason}", what=what, where=where)


class JobItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A DispatchItem on its way, with the ranges of its fields."""

    id: Word
    lease: Lease
    type: Word
    payload: Raw
    queue: Word
    priority: Priority
    attempt: Number
    max_attempts: Number
    timeout: Timeout
    run: Number = 1
    labels: Mapping[str, str] = {}
    trace_context: str | None = None


class JobBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a job's message."""

    version: int
    store_id: Word
    enqueued_at: Seconds
    job: JobItem


class OutcomeError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An ErrorInfo on its way."""

    kind: Word
    message: str = ""
    traceback: str = ""


class OutcomeBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an outcome's message; a `result` that is absent is not the result null."""

    version: int
    store_id: Word
    job_id: Word
    lease: Lease
    worker_id: Word
    incarnation: Word
    kind: OutcomeKind
    started_at: Seconds
    finished_at: Seconds
    result: Raw | UnsetType = UNSET
    error: OutcomeError | None = None
    delay_seconds: Seconds | None = None


class _StampHeaders(msgspec.Struct, frozen=True, kw_only=True):
    store_id: Word = msgspec.field(name="hermes-store-id")
    job_id: Word = msgspec.field(name="hermes-job-id")
    lease: Lease = msgspec.field(name="hermes-lease")


class _AnyVersion(msgspec.Struct, frozen=True):
    version: int


class MessageCodec:
    """Messages of at most `max_bytes` for the exchange, and back."""

    def __init__(self, exchange: str, max_bytes: int) -> None:
        self._exchange = exchange
        self._max_bytes = max_bytes
        self._encode = msgspec.json.Encoder().encode
        self._jobs = msgspec.json.Decoder(JobBody)
        self._outcomes = msgspec.json.Decoder(OutcomeBody)

    def encode_job(self, message: JobMessage) -> Message:
        """Ready to be published; raises TooLarge."""
        job = message.job
        body = JobBody(
            version=VERSION,
            store_id=message.store_id,
            enqueued_at=message.enqueued_at,
            job=JobItem(**msgspec.structs.asdict(job)),
        )
        about: dict[str, Argument] = {
            "hermes-type": job.type,
            "hermes-queue": job.queue,
            "hermes-priority": job.priority,
        }
        stamp = Stamp(store_id=message.store_id, token=job.token)
        return Message(
            exchange=self._exchange,
            routing_key=routing_key(job.queue, band_of(job.priority)),
            body=self._bounded(self._encode(body)),
            headers={**_headers(stamp), **about},
            message_id=f"{job.id}.{job.lease}",
            type=JOB,
        )

    def encode_outcome(self, message: OutcomeMessage) -> Message:
        """Ready to be published; raises TooLarge."""
        outcome = message.outcome
        token, error = outcome.token, outcome.error
        body = OutcomeBody(
            version=VERSION,
            store_id=message.store_id,
            job_id=token.job_id,
            lease=token.lease,
            worker_id=message.worker_id,
            incarnation=message.incarnation,
            kind=outcome.kind,
            started_at=outcome.started_at,
            finished_at=outcome.finished_at,
            result=UNSET if outcome.result is None else Raw(outcome.result),
            error=None if error is None else OutcomeError(**msgspec.structs.asdict(error)),
            delay_seconds=outcome.delay_seconds,
        )
        return Message(
            exchange=self._exchange,
            routing_key=OUTCOMES_KEY,
            body=self._bounded(self._encode(body)),
            headers=_headers(Stamp(store_id=message.store_id, token=token)),
            message_id=f"{token.job_id}.{token.lease}",
            type=OUTCOME,
        )

    def decode_job(self, body: bytes) -> JobMessage:
        """The message of this body; raises Undecodable."""
        found = self._decoded(JOB, body, self._jobs)
        return JobMessage(
            store_id=found.store_id,
            enqueued_at=found.enqueued_at,
            job=DispatchItem(**msgspec.structs.asdict(found.job)),
        )

    def decode_outcome(self, body: bytes) -> OutcomeMessage:
        """The message of this body; raises Undecodable."""
        found = self._decoded(OUTCOME, body, self._outcomes)
        error = found.error
        outcome = Outcome(
            token=Token(found.job_id, found.lease),
            kind=found.kind,
            result=None if found.result is UNSET else bytes(found.result),
            error=None if error is None else ErrorInfo(**msgspec.structs.asdict(error)),
            delay_seconds=found.delay_seconds,
            started_at=found.started_at,
            finished_at=found.finished_at,
        )
        return OutcomeMessage(
            store_id=found.store_id,
            worker_id=found.worker_id,
            incarnation=found.incarnation,
            outcome=outcome,
        )

    def _bounded(self, body: bytes) -> bytes:
        if len(body) > self._max_bytes:
            limit = f"queue.max_message_bytes ({self._max_bytes})"
            raise TooLarge(f"the message has {len(body)} bytes, over {limit}")
        return body

    def _decoded(self, what: str, body: bytes, decoder: msgspec.json.Decoder[BodyT]) -> BodyT:
        if len(body) > self._max_bytes:
            raise Undecodable(what, "$", f"{len(body)} bytes, over {self._max_bytes}")
        try:
            body.decode()  # the decoder does not look into texts that stay raw
            found = decoder.decode(body)
        except (ValueError, RecursionError) as error:
            raise _undecodable(what, body, error) from error
        if found.version != VERSION:
            raise _other_version(what, found.version)
        return found


def stamp_of(headers: Mapping[str, object]) -> Stamp:
    """Whose message it is, by its headers alone, whatever its version; raises Undecodable."""
    try:
        found = msgspec.convert(headers, _StampHeaders)
    except msgspec.ValidationError as error:
        raise _at_its_place("message of hermesd", error) from error
    return Stamp(store_id=found.store_id, token=Token(found.job_id, found.lease))


def _headers(stamp: Stamp) -> dict[str, Argument]:
    return {
        "hermes-version": VERSION,
        "hermes-store-id": stamp.store_id,
        "hermes-job-id": stamp.token.job_id,
        "hermes-lease": stamp.token.lease,
    }


def _undecodable(what: str, body: bytes, error: Exception) -> Undecodable:
    """The version comes first, since another one explains all else."""
    try:
        version = msgspec.json.decode(body, type=_AnyVersion).version
    except (ValueError, RecursionError):
        version = VERSION
    return _at_its_place(what, error) if version == VERSION else _other_version(what, version)


def _other_version(what: str, version: int) -> Undecodable:
    return Undecodable(what, "$.version", f"{version} is none that is known here ({VERSION})")


def _at_its_place(what: str, error: Exception) -> Undecodable:
    text = str(error)
    place = _PLACE.search(text)
    reason = text[: place.start()] if place else text
    return Undecodable(what, place["place"] if place else "$", reason[:_SHOWN_CHARS])
