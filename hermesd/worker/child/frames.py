"""What worker and child say to each other: msgpack frames, each after its length (4 bytes, big).

The worker sends one Boot and then Work after Work; the child answers each with Began and Ended
under the same number. Between the two the job is the child's: a child that dies before Began has
not touched it. What the handler tells of itself comes in between as Noted.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hermesd.core.job import ErrorInfo, Job
from hermesd.core.outcome import OutcomeKind
from hermesd.core.trace import InChild
from hermesd.handlers.context import JobContext
from hermesd.handlers.contract import Handler
from hermesd.handlers.notes import TakesNotes

HEADER: Final = struct.Struct(">I")
REPLY_OVERHEAD_BYTES: Final = 64 * 1024  # an Ended without its result: error texts are bounded


class ProcessTask(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to run: the handler's reference and type name, the payload, the context."""

    reference: str
    handler_type: str
    payload: bytes
    job_id: str
    type: str
    attempt: int = 1
    max_attempts: int = 1
    run: int = 1
    lease: int = 0
    queue: str = "default"
    priority: int = 3
    labels: dict[str, str] = {}
    timeout_seconds: float = 300.0
    settings: dict[str, Any] = {}
    trace_context: str | None = None
    traced: InChild = InChild.NOT

    @classmethod
    def for_job(
        cls,
        handler: Handler,
        job: Job,
        settings: Mapping[str, Any] | None = None,
        *,
        trace_context: str | None = None,
        traced: InChild = InChild.NOT,
    ) -> ProcessTask:
        """The task of the attempt that `job` is in; `settings` are its plugin's."""
        return cls(
            reference=handler.reference,
            handler_type=handler.type.name,
            payload=bytes(job.payload),
            job_id=job.id,
            type=job.type,
            attempt=job.attempts,
            max_attempts=job.max_attempts,
            run=job.run,
            lease=job.lease,
            queue=job.queue,
            priority=job.priority,
            labels=job.labels,
            timeout_seconds=job.timeout,
            settings=dict(settings or {}),
            trace_context=trace_context,
            traced=traced,
        )

    def context(self, notes: TakesNotes) -> JobContext:
        """What the handler is given; a process is killed, so nobody asks it to cancel."""
        return JobContext(
            job_id=self.job_id,
            type=self.type,
            attempt=self.attempt,
            max_attempts=self.max_attempts,
            run=self.run,
            lease=self.lease,
            queue=self.queue,
            priority=self.priority,
            labels=self.labels,
            timeout_seconds=self.timeout_seconds,
            settings=self.settings,
            notes=notes,
            trace_context=self.trace_context,
        )


class ProcessReply(msgspec.Struct, frozen=True, kw_only=True):
    """How the attempt ended; `result` is JSON, `delay_seconds` the handler's own wish."""

    kind: OutcomeKind
    result: bytes | None = None
    error: ErrorInfo | None = None
    delay_seconds: float | None = None


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """What the child must know before any work.

    `sys_path` is the worker's; `python_path` the PYTHONPATH (None: unset) that the handlers' own
    children are to see, since the child itself was started with another one.
    """

    sys_path: list[str]
    python_path: str | None
    max_result_bytes: int


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Run this."""

    number: int
    task: ProcessTask


class Began(msgspec.Struct, frozen=True, kw_only=True, tag="began"):
    """The child has read the work and goes at it."""

    number: int


class Noted(msgspec.Struct, frozen=True, kw_only=True, tag="noted", omit_defaults=True):
    """The handler tells of itself: (fraction, note), lines as (level, line), lines left out."""

    number: int
    progress: tuple[float, str] | None = None
    lines: list[tuple[str, str]] = []
    dropped: int = 0


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """The work is done."""

    number: int
    reply: ProcessReply


def frame(message: msgspec.Struct) -> bytes:
    """The message as it goes over the channel."""
    body = msgspec.msgpack.encode(message)
    return HEADER.pack(len(body)) + body
