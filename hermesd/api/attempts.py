"""The attempts of a job: those that events have ended, and the one that its row tells of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hermesd.api.present import error_view, rfc3339, time_or_none
from hermesd.api.views import AttemptView
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.records import EventRecord
from hermesd.core.states import State

# What ends an attempt, where a worker had it.
_ENDS: Final = frozenset(
    str(kind)
    for kind in (
        EventKind.RETRY,
        EventKind.SNOOZED,
        EventKind.RELEASED,
        EventKind.FAILED,
        EventKind.CANCELLED,
        EventKind.QUARANTINED,
        EventKind.UNSTORABLE,
    )
)


def attempts_of(job: Job, events: Sequence[EventRecord]) -> list[AttemptView]:
    """Oldest first; `events` are what the store keeps of the job, in order."""
    ended = [
        AttemptView(
            run=event.run,
            attempt=event.attempt,
            worker_id=event.worker_id,
            rung=event.rung,
            started_at=time_or_none(event.started_at),
            ended_at=rfc3339(event.time),
            outcome=event.kind,
            error=error_view(event.error),
        )
        for event in events
        if event.kind in _ENDS and event.worker_id is not None
    ]
    # Of a success there is no event, since the row tells of it.
    if job.state is State.RUNNING or job.state is State.SUCCEEDED:
        ended.append(_by_row(job))
    return ended


def _by_row(job: Job) -> AttemptView:
    return AttemptView(
        run=job.run,
        attempt=job.attempts,
        worker_id=job.worker_id,
        rung=job.rung,
        started_at=time_or_none(job.started_at),
        ended_at=time_or_none(job.finished_at),
        outcome=str(job.state),
        error=None,
    )
