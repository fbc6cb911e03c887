"""What a submit is answered with, once its jobs are committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from hermesd.api.acceptance import Waiter
from hermesd.api.lone import Lone
from hermesd.core.job import Job
from hermesd.core.states import State


class SubmitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a committed job when the client is answered.

    `direct` means that `worker_id` has accepted it; `queue` that it waits, as `note` says;
    `scheduled` that it waits for its time.
    """

    job: Job
    routed: Literal["direct", "queue", "scheduled"]
    worker_id: str | None = None
    note: str | None = None
    repeated: bool = False


# Gets the answer on a submit, or the error that it has ended with.
Answer = Callable[[SubmitAnswer | Exception], None]


def answer_on(lone: Lone) -> SubmitAnswer:
    """The answer on a job that came by itself."""
    job = lone.job
    if lone.waiter is not None:
        return routed(job, lone.waiter)
    if job.state is State.SCHEDULED:
        return SubmitAnswer(job=job, routed="scheduled")
    return SubmitAnswer(job=job, routed="queue", note=lone.note)


def routed(job: Job, waiter: Waiter) -> SubmitAnswer:
    """The answer on a job that was sent to a worker."""
    if waiter.worker_id is None:
        return SubmitAnswer(job=job, routed="queue", note=waiter.note)
    return SubmitAnswer(job=job, routed="direct", worker_id=waiter.worker_id)


def repeated(job: Job) -> SubmitAnswer:
    """The answer on the first job of an idempotency key."""
    if job.worker_id:
        return SubmitAnswer(job=job, routed="direct", worker_id=job.worker_id, repeated=True)
    note = "the first job of this idempotency key"
    if job.state is State.SCHEDULED:
        return SubmitAnswer(job=job, routed="scheduled", note=note, repeated=True)
    return SubmitAnswer(job=job, routed="queue", note=note, repeated=True)
