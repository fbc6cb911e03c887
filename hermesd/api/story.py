"""What the log says of single jobs, so that their whole life can be found by their id.

    job accepted ─► job dispatched ─► (job ended, by its worker) ─► job succeeded
                 └► job queued, job retries, job snoozed, job released └► job failed, job cancelled

Never a payload, a result or what a handler said: those are in the store. Of an error only its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.outcome import Settlement
from hermesd.core.states import Move, State
from hermesd.core.trace import trace_id_of
from hermesd.observe.joblines import JobLines

_ROUTED: Final = {State.RUNNING: "direct", State.QUEUED: "queue", State.SCHEDULED: "scheduled"}
_ENDS: Final = {
    Move.SUCCEED: "job succeeded",
    Move.FAIL: "job failed",
    Move.CANCEL: "job cancelled",
    Move.RETRY: "job retries",
    Move.SNOOZE: "job snoozed",
    Move.RELEASE: "job released",
}


class Story:
    """Told by the ledger of what has been committed."""

    def __init__(self, lines: JobLines) -> None:
        self._lines = lines

    @property
    def left_out(self) -> int:
        """Lines that were too many to be written, since the start."""
        return self._lines.left_out

    def accepted(self, jobs: Sequence[Job], note: str) -> None:
        """Jobs of one submit are committed."""
        for job in jobs[: self._lines.room(len(jobs))]:
            told = _about(job)
            if job.state is State.RUNNING:
                told["worker_id"] = job.worker_id
            if note:
                told["note"] = note
            if job.run_at is not None:
                told["in_seconds"] = _span(job.created_at, job.run_at)
            self._lines.tell("job accepted", routed=_ROUTED[job.state], **told)

    def dispatched(self, jobs: Sequence[Job]) -> None:
        """Jobs that waited, or that another worker refused, have a worker."""
        for job in jobs[: self._lines.room(len(jobs))]:
            self._lines.tell(
                "job dispatched",
                **_about(job),
                worker_id=job.worker_id,
                rung=str(job.rung or ""),
                waited_seconds=_span(job.enqueued_at, job.started_at),
            )

    def queued(self, jobs: Iterable[Job], kind: EventKind) -> None:
        """Jobs came (back) to the queue; `kind` says why."""
        for job in jobs:
            if job.state.terminal:
                self.cancelled(job)
            elif kind is EventKind.DUE:
                if self._lines.room():
                    self._lines.tell("job queued", **_about(job), why=str(kind))
            else:
                self._lines.trouble("job queued", **_about(job), why=str(kind))

    def succeeded(self, settled: Sequence[tuple[Job, Settlement]]) -> None:
        """Running jobs have succeeded."""
        for job, settlement in settled[: self._lines.room(len(settled))]:
            self._lines.tell(_ENDS[Move.SUCCEED], **_ended(job, settlement))

    def settled(self, job: Job, settlement: Settlement) -> None:
        """A running job was settled, and has not succeeded."""
        move = settlement.move
        if move is Move.SNOOZE:
            if self._lines.room():
                self._lines.tell(_ENDS[move], **_ended(job, settlement))
        else:
            final = move is Move.FAIL
            self._lines.trouble(_ENDS[move], final=final, **_ended(job, settlement))

    def returned(self, job: Job, settlement: Settlement) -> None:
        """A waiting job has failed, because the broker gave its message up."""
        self._lines.trouble(_ENDS[Move.FAIL], final=True, **_ended(job, settlement))

    def cancelled(self, job: Job) -> None:
        """A job was cancelled that did not run."""
        self._lines.trouble(_ENDS[Move.CANCEL], **_about(job))


def _about(job: Job) -> dict[str, Any]:
    """Which job it is; the numbers that are mostly 1 or 0 are left out then."""
    told: dict[str, Any] = {"job_id": job.id, "type": job.type, "queue": job.queue}
    if job.attempts:
        told["attempt"] = job.attempts
    if job.run > 1:
        told["run"] = job.run
    if job.trace_context is not None:
        told["trace_id"] = trace_id_of(job.trace_context)
    return told


def _ended(job: Job, settlement: Settlement) -> dict[str, Any]:
    told = _about(job)
    told["worker_id"] = job.worker_id
    if (started := settlement.started_at) is not None:
        told["waited_seconds"] = _span(job.enqueued_at, started)
        told["ran_seconds"] = _span(started, settlement.at)
    told["total_seconds"] = _span(job.created_at, settlement.at)
    if settlement.error is not None:
        told["error"] = settlement.error.kind
    if settlement.run_at is not None:
        told["again_in_seconds"] = _span(settlement.at, settlement.run_at)
    return told


def _span(since: float | None, until: float | None) -> float | None:
    """Between two readings of clocks that need not agree."""
    if since is None or until is None:
        return None
    return round(max(until - since, 0.0), 6)
