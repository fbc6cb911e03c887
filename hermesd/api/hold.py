"""Taking hold of a running job that this api did not send itself."""

from __future__ import annotations

from hermesd.api.state import ApiState
from hermesd.core.job import Job
from hermesd.core.states import State
from hermesd.core.workerview import Held, WorkerView


def is_with(job: Job, incarnation: str) -> bool:
    """Whether a job runs at an incarnation, as the store says."""
    return job.state is State.RUNNING and job.incarnation == incarnation


def adopt(state: ApiState, view: WorkerView, job: Job, number: int, *, begun: bool) -> None:
    """Hold a running job's lease for `view`, which lists it after heartbeat `number` if at all.

    `begun`: the worker has it, so that its death is charged. The time limit counts from now: what
    it has run already under another life of an api is its worker's to measure.
    """
    held = Held(job, view.kind_of(job.type) or "", float("inf"))
    held.deadline = (
        state.clock.monotonic() + job.timeout + state.config.worker.timeout_grace_seconds
    )
    held.batch = max(view.batch_number, 1) if begun else 0
    held.accepted_number = number
    view.hold(held)
