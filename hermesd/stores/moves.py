"""What each move makes of a job: pure, and the same for every store.

A store reads the job, asks here, and writes the answer under a compare-and-set on the state and
lease that it read. The rules, beside the table in `core.states`:

- every way into `queued` raises the lease and takes the job from its worker; its place in the
  queue is new unless it comes back from `running`, or from the broker;
- to hand it over to the broker is no move: it stays queued at its lease, its owner is another;
- to `scheduled` the lease rises too, and the timer owns the job;
- an end leaves the lease, and nobody owns the job;
- a job whose cancel was asked for is never tried again: where it would be, it is cancelled.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hermesd.core.errors import IllegalMove
from hermesd.core.events import EventKind
from hermesd.core.job import ErrorInfo, Job, Owner, Rung
from hermesd.core.outcome import Settlement
from hermesd.core.records import Assignment, Claim, EventRecord, Verdict
from hermesd.core.states import Move, State, after, sources
from hermesd.stores.micros import whole, whole_or_none

MAX_MESSAGE_LENGTH: Final = 500
UNSTORABLE_RESULT: Final = "unstorable-result"

# To name a member of an enumeration takes three times as long as a global.
_ASSIGN: Final = Move.ASSIGN
_RUNNING: Final = State.RUNNING
_AMQP: Final = Owner.AMQP
_INCARNATION: Final = Owner.INCARNATION
_AGAIN = frozenset({Move.RETRY, Move.SNOOZE, Move.RELEASE})
_OUTCOMES = frozenset({Move.SUCCEED, Move.FAIL, Move.CANCEL, Move.RETURN}) | _AGAIN
_SOURCES: Final = {move: sources(move) for move in Move}
_EVENT_OF_MOVE: Final = {
    Move.FAIL: EventKind.FAILED,
    Move.RETURN: EventKind.FAILED,
    Move.RETRY: EventKind.RETRY,
    Move.SNOOZE: EventKind.SNOOZED,
    Move.RELEASE: EventKind.RELEASED,
    Move.CANCEL: EventKind.CANCELLED,
}
_EVENT_OF_ERROR: Final = {
    "quarantined": EventKind.QUARANTINED,
    UNSTORABLE_RESULT: EventKind.UNSTORABLE,
}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One job before and after, and the event to append."""

    before: Job
    after: Job
    event: EventRecord | None = None

    @property
    def new_place(self) -> bool:
        """Whether the job gets a new place in its queue: all ways in but from `running`."""
        return (
            self.after.state is State.QUEUED
            and self.before.state is not State.QUEUED
            and self.before.state is not State.RUNNING
        )


def assigned(job: Job | None, assignment: Assignment) -> Change | None:
    """The job before and at its worker; None where the token is old."""
    after = at_worker(job, assignment)
    return None if job is None or after is None else Change(before=job, after=after)


def at_worker(job: Job | None, assignment: Assignment) -> Job | None:
    """The job as it is then; None where the token is old."""
    if job is None or job.lease != assignment.token.lease:
        return None
    if job.state not in _SOURCES[assignment.move] or job.owner is _AMQP:
        return None
    attempts = job.attempts + (assignment.move is _ASSIGN)
    return _begun(job, assignment, whole(assignment.at), attempts, assignment.rung)


def begun(
    job: Job, worker: Assignment | Claim, at: float, attempts: int, rung: Rung | None
) -> Change:
    """The job at its worker, under the next lease."""
    return Change(before=job, after=_begun(job, worker, at, attempts, rung))


def _begun(
    job: Job, worker: Assignment | Claim, at: float, attempts: int, rung: Rung | None
) -> Job:
    return replace(
        job,
        state=_RUNNING,
        owner=_INCARNATION,
        lease=job.lease + 1,
        attempts=attempts,
        rung=rung,
        assigned_by=worker.assigned_by,
        worker_id=worker.worker_id,
        incarnation=worker.incarnation,
        started_at=at,
        updated_at=at,
    )


def check_settleable(settlement: Settlement) -> None:
    """Raise IllegalMove for a settlement whose move is no outcome of an attempt."""
    if settlement.move not in _OUTCOMES:
        raise IllegalMove(f"an outcome cannot {settlement.move} a job")
    if settlement.move in (Move.RETRY, Move.SNOOZE) and settlement.run_at is None:
        raise IllegalMove(f"{settlement.move} needs the time of the next attempt")


def settled(job: Job | None, settlement: Settlement) -> tuple[Verdict, Change | None]:
    """What an outcome makes of its job; a token that is no longer valid changes nothing."""
    if job is None:
        return Verdict.UNKNOWN, None
    if job.lease != settlement.token.lease or job.state not in _SOURCES[settlement.move]:
        return Verdict.DROPPED, None
    move, error = settlement.move, settlement.error
    if move in _AGAIN and job.cancel_requested:
        move = Move.CANCEL
        error = error or ErrorInfo(kind="cancelled", message="its cancel had been asked for")
    at = whole(settlement.at)
    changed = _outcome_fields(job, settlement, move, error)
    moved = _to_state(job, after(job.state, move), at, changed)
    event = None if move is Move.SUCCEED else _event(job, _kind(move, error), at, error)
    if event is not None and settlement.started_at is not None:
        event = replace(event, started_at=whole(settlement.started_at))
    return Verdict.RECORDED, Change(before=job, after=moved, event=event)


def _outcome_fields(
    job: Job, settlement: Settlement, move: Move, error: ErrorInfo | None
) -> dict[str, Any]:
    started = whole_or_none(settlement.started_at)
    fields: dict[str, Any] = {
        "attempts": job.attempts if settlement.attempts is None else settlement.attempts,
        "crash_count": (
            job.crash_count if settlement.crash_count is None else settlement.crash_count
        ),
        "error": None if move is Move.SUCCEED else error or job.error,
        "started_at": job.started_at if started is None else started,
    }
    if settlement.result is not None or move is Move.SUCCEED:
        fields["result"] = None if settlement.result is None else msgspec.Raw(settlement.result)
    if move in (Move.RETRY, Move.SNOOZE):
        fields["run_at"] = whole_or_none(settlement.run_at)
    return fields


def _kind(move: Move, error: ErrorInfo | None) -> EventKind:
    if move is Move.FAIL and error is not None:
        return _EVENT_OF_ERROR.get(error.kind, EventKind.FAILED)
    return _EVENT_OF_MOVE[move]


def _to_state(job: Job, state: State, at: float, fields: dict[str, Any]) -> Job:
    if state is State.QUEUED:
        return queued(job, at, fields)
    if state is State.SCHEDULED:
        owner, lease = Owner.TIMER, job.lease + 1
        fields = {**fields, "rung": None, "assigned_by": None, "worker_id": None}
        fields["incarnation"] = None
    else:
        owner, lease = Owner.NONE, job.lease
        fields = {**fields, "finished_at": at}
    return replace(job, **{**fields, "state": state, "owner": owner, "lease": lease}, updated_at=at)


def queued(job: Job, at: float, fields: dict[str, Any]) -> Job:
    """The job as it waits in the store, under the next lease, with `fields` changed."""
    changed: dict[str, Any] = {
        **fields,
        "state": State.QUEUED,
        "owner": Owner.STORE,
        "lease": job.lease + 1,
        "rung": None,
        "assigned_by": None,
        "worker_id": None,
        "incarnation": None,
        "started_at": None,
        "updated_at": at,
    }
    if job.state not in (State.RUNNING, State.QUEUED):
        changed["enqueued_at"] = at
    return replace(job, **changed)


def due(job: Job | None, at: float) -> Change | None:
    """A scheduled job whose time has come, queued; None where it is not scheduled or not due."""
    if job is None or job.state is not State.SCHEDULED or (job.run_at or 0.0) > at:
        return None
    return Change(before=job, after=queued(job, at, {}))


def cancelled(job: Job, at: float) -> Change | None:
    """A waiting job cancelled, a running one marked; None if marked before. IllegalMove: ended."""
    state = after(job.state, Move.CANCEL)
    if job.state is State.RUNNING:
        if job.cancel_requested:
            return None
        marked = replace(job, cancel_requested=True, updated_at=at)
        event = _event(job, EventKind.CANCEL_REQUESTED, at)
        return Change(before=job, after=marked, event=event)
    ended = replace(_to_state(job, state, at, {}), lease=job.lease + 1)
    return Change(before=job, after=ended, event=_event(job, EventKind.CANCELLED, at))


def requeued(job: Job | None, at: float) -> Change | None:
    """A failed job in a new run, a scheduled one queued now; None for all others."""
    if job is None:
        return None
    if job.state is State.SCHEDULED:
        now = queued(job, at, {})
        return Change(before=job, after=now, event=_event(job, EventKind.DUE, at))
    if job.state is not State.FAILED:
        return None
    fresh: dict[str, Any] = {
        "run": job.run + 1,
        "attempts": 0,
        "crash_count": 0,
        "cancel_requested": False,
        "run_at": None,
        "finished_at": None,
        "result": None,
        "error": None,
    }
    again = queued(job, at, fresh)
    return Change(before=job, after=again, event=_event(again, EventKind.REQUEUED, at))


def orphaned(job: Job | None, at: float) -> Change | None:
    """A running job whose incarnation is fenced or absent: queued, or cancelled if asked for."""
    if job is None or job.state is not State.RUNNING:
        return None
    cause = ErrorInfo(kind="lost-worker", message=f"worker {job.worker_id} was lost")
    if job.cancel_requested:
        ended = _to_state(job, State.CANCELLED, at, {"error": cause})
        event = _event(job, EventKind.CANCELLED, at, cause)
        return Change(before=job, after=ended, event=event)
    back = queued(job, at, {"error": cause, "attempts": max(job.attempts - 1, 0)})
    return Change(before=job, after=back, event=_event(job, EventKind.RELEASED, at, cause))


def unstorable(settlement: Settlement, reason: str) -> Settlement:
    """What is recorded in place of an outcome that the store refuses."""
    return Settlement(
        token=settlement.token,
        move=Move.FAIL,
        at=settlement.at,
        error=ErrorInfo(kind=UNSTORABLE_RESULT, message=reason[:MAX_MESSAGE_LENGTH]),
    )


def _event(job: Job, kind: EventKind, at: float, error: ErrorInfo | None = None) -> EventRecord:
    message = "" if error is None else (error.message or error.kind)
    ends = job.state is State.RUNNING and kind is not EventKind.CANCEL_REQUESTED
    return EventRecord(
        time=at,
        job_id=job.id,
        job_type=job.type,
        kind=str(kind),
        worker_id=job.worker_id,
        message=message[:MAX_MESSAGE_LENGTH],
        run=job.run,
        attempt=job.attempts,
        started_at=job.started_at if ends else None,
        rung=job.rung if ends else None,
        error=error,
    )
