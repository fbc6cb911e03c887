"""What became of an attempt, and what that makes of its job."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from hermesd.core.job import ErrorInfo, Job, Token
from hermesd.core.states import Move


class OutcomeKind(StrEnum):
    """What a worker says of an attempt that has ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # may be tried again
    PERMANENT = "permanent"  # must not be tried again
    SNOOZED = "snoozed"  # not a failure: again later, the attempt given back
    CANCELLED = "cancelled"  # ended because a cancel was asked for
    INTERRUPTED = "interrupted"  # handed back unfinished by a drain: the attempt given back
    CRASHED = "crashed"  # its isolated process died: charged to the job, not as an attempt


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The report on one token. `delay_seconds` overrides the backoff or is the snooze."""

    token: Token
    kind: OutcomeKind
    result: bytes | None = None
    error: ErrorInfo | None = None
    delay_seconds: float | None = None
    started_at: float = 0.0
    finished_at: float = 0.0


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The move that an outcome makes, ready for the store's compare-and-set on the token.

    `attempts` and `crash_count` are the values after the move (None: unchanged).
    """

    token: Token
    move: Move
    at: float
    result: bytes | None = None
    error: ErrorInfo | None = None
    run_at: float | None = None
    attempts: int | None = None
    crash_count: int | None = None
    started_at: float | None = None


# To name a member of an enumeration takes three times as long as a global.
_SUCCEEDED: Final = OutcomeKind.SUCCEEDED
_SUCCEED: Final = Move.SUCCEED


def settle(outcome: Outcome, job: Job | None, now: float, chance: float) -> Settlement:
    """The settlement of `outcome`; `job` may be None only where the outcome is a success.

    What the worker reports wins over a cancel that was asked for, except that a job asked to be
    cancelled is not tried again (design: Cancel, drain, idempotency).
    """
    if outcome.kind is _SUCCEEDED:
        return Settlement(
            token=outcome.token,
            move=_SUCCEED,
            at=now,
            result=outcome.result,
            started_at=outcome.started_at or None,
        )
    if job is None:
        raise ValueError("only a success can be settled without its job")
    if outcome.kind is OutcomeKind.PERMANENT:
        return _end(outcome, Move.FAIL, now)
    if outcome.kind is OutcomeKind.CANCELLED or job.cancel_requested:
        return _end(outcome, Move.CANCEL, now)
    if outcome.kind is OutcomeKind.INTERRUPTED:
        return Settlement(
            token=outcome.token, move=Move.RELEASE, at=now, attempts=max(job.attempts - 1, 0)
        )
    if outcome.kind is OutcomeKind.SNOOZED:
        return Settlement(
            token=outcome.token,
            move=Move.SNOOZE,
            at=now,
            run_at=now + (outcome.delay_seconds or 0.0),
            attempts=max(job.attempts - 1, 0),
        )
    return _failed(outcome, job, now, chance)


def _failed(outcome: Outcome, job: Job, now: float, chance: float) -> Settlement:
    crashes = job.crash_count + (outcome.kind is OutcomeKind.CRASHED)
    if outcome.kind is OutcomeKind.CRASHED and crashes >= job.crash_limit:
        return quarantine(outcome.token, crashes, now, outcome.error)
    if job.attempts >= job.max_attempts and outcome.kind is not OutcomeKind.CRASHED:
        return _end(outcome, Move.FAIL, now)
    delay = outcome.delay_seconds
    if delay is None:
        delay = job.backoff.delay_seconds(max(job.attempts, 1), chance)
    return Settlement(
        token=outcome.token,
        move=Move.RETRY,
        at=now,
        error=outcome.error,
        run_at=now + delay,
        attempts=max(job.attempts - 1, 0) if outcome.kind is OutcomeKind.CRASHED else None,
        crash_count=crashes if crashes != job.crash_count else None,
        started_at=outcome.started_at or None,
    )


def quarantine(token: Token, crashes: int, now: float, cause: ErrorInfo | None) -> Settlement:
    """The end of a job that has killed as many processes as its crash limit allows."""
    reason = f"; last: {cause.message}" if cause and cause.message else ""
    error = ErrorInfo(kind="quarantined", message=f"ended its process {crashes} times{reason}")
    return Settlement(token=token, move=Move.FAIL, at=now, error=error, crash_count=crashes)


def _end(outcome: Outcome, move: Move, now: float) -> Settlement:
    return Settlement(
        token=outcome.token,
        move=move,
        at=now,
        result=outcome.result,
        error=outcome.error,
        started_at=outcome.started_at or None,
    )


def handed_back(job: Job, now: float) -> Settlement:
    """What becomes of a running job that its worker surely never began."""
    if job.cancel_requested:
        error = ErrorInfo(kind="cancelled", message="cancelled before it was begun")
        return Settlement(token=job.token, move=Move.CANCEL, at=now, error=error)
    return Settlement(token=job.token, move=Move.RELEASE, at=now, attempts=max(job.attempts - 1, 0))


def lost(job: Job, now: float, *, proven_dead: bool) -> Settlement:
    """What becomes of a running job whose incarnation is gone.

    Silence never counts against a job; proven process death does (design: Leases, liveness).
    """
    cause = ErrorInfo(kind="lost-worker", message=f"worker {job.worker_id} was lost")
    crashes = job.crash_count + proven_dead
    if job.cancel_requested:
        return Settlement(token=job.token, move=Move.CANCEL, at=now, error=cause)
    if proven_dead and crashes >= job.crash_limit:
        return quarantine(job.token, crashes, now, cause)
    return Settlement(
        token=job.token,
        move=Move.RELEASE,
        at=now,
        error=cause,
        attempts=max(job.attempts - 1, 0),
        crash_count=crashes,
    )
