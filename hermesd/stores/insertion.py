"""How a job begins its life in a store: pure, and the same for every store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from hermesd.core.errors import IllegalMove, InvalidValue
from hermesd.core.job import Job, Owner
from hermesd.core.states import State
from hermesd.stores.micros import whole, whole_or_none

# Named here, since that takes a fifth of the time of a look into the enumeration.
_QUEUED: Final = State.QUEUED
_RUNNING: Final = State.RUNNING

_OWNER_AT_INSERT: Final = {
    State.QUEUED: Owner.STORE,
    State.RUNNING: Owner.INCARNATION,
    State.SCHEDULED: Owner.TIMER,
}


def check_insertable(job: Job) -> None:
    """Raise IllegalMove or InvalidValue for a job that cannot begin its life as it is."""
    if job.state is _QUEUED or (job.state is _RUNNING and job.incarnation):
        return
    if job.state.terminal:
        raise IllegalMove(f"a job cannot be submitted as {job.state}", state=str(job.state))
    if job.state is State.RUNNING and not job.incarnation:
        raise InvalidValue("a job that is submitted as running needs its incarnation")
    if job.state is State.SCHEDULED and job.run_at is None:
        raise InvalidValue("a job that is submitted as scheduled needs its run_at")


def admitted(job: Job, at: float) -> Job:
    """`job` as it is inserted: its owner by its state, times that are missing are `at`."""
    return admitted_all((job,), at)[0]


def admitted_all(jobs: Iterable[Job], at: float) -> list[Job]:
    """The same of several."""
    known: set[float] = set()  # are whole: most of them share their times
    return [job if _is_admitted(job, known) else _admitted(job, at) for job in jobs]


def _admitted(job: Job, at: float) -> Job:
    created = whole(job.created_at or at)
    started = job.started_at
    if job.state is State.RUNNING and started is None:
        started = created
    enqueued = None if job.state is State.SCHEDULED else whole(job.enqueued_at or created)
    return replace(
        job,
        owner=_OWNER_AT_INSERT.get(job.state, job.owner),
        timeout=whole(job.timeout),
        created_at=created,
        updated_at=whole(job.updated_at) or created,
        enqueued_at=enqueued,
        run_at=whole_or_none(job.run_at),
        started_at=whole_or_none(started),
    )


def _is_admitted(job: Job, known: set[float]) -> bool:
    """Whether that changes nothing, as with most jobs; it costs a third of a changed copy."""
    created, state = job.created_at, job.state
    if created not in known or job.timeout not in known:
        if not (created == whole(created) and job.timeout == whole(job.timeout)):
            return False
        known.update((created, job.timeout))
    return (
        created != 0.0
        and created == job.updated_at == job.enqueued_at
        and job.started_at == (created if state is _RUNNING else None)
        and job.run_at is None
        and job.owner is _OWNER_AT_INSERT.get(state)
    )
