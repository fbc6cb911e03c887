"""Where a job goes: to a worker now, or to wait behind others."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

import msgspec

from hermesd.api.state import ApiState
from hermesd.core.job import Job, Owner, Rung
from hermesd.core.routing import choose, explain
from hermesd.core.states import State
from hermesd.core.workerview import Held, WorkerView

# To name a member of an enumeration takes five times as long as a global (measured: 0.1 µs more).
_RUNNING: Final = State.RUNNING
_INCARNATION: Final = Owner.INCARNATION
_PUSH: Final = Rung.PUSH


class Reservation(msgspec.Struct, frozen=True):
    """A slot counted as taken for a job that is not committed to the worker yet."""

    view: WorkerView
    held: Held

    def cancel(self) -> None:
        """Give the slot back."""
        self.view.unreserve(self.held)


class Router:
    """Chooses, and counts the chosen slot as taken at once, so that none is given twice."""

    def __init__(self, state: ApiState):
        self._state = state

    def place_new(self, job: Job) -> Reservation | None:
        """A slot for a job just submitted, unless others wait before it."""
        if self._state.tally.waiting_total and self._must_wait(job):
            return None
        return self.place(job)

    def place(self, job: Job, beside: WorkerView | None = None) -> Reservation | None:
        """A slot for a job, with `beside` if it can be; None where no worker can take it now."""
        state = self._state
        choice = choose(job, state.registry, beside)
        if choice is None or (state.pauses.queues and job.queue in state.pauses):
            return None
        held = Held(job, choice.kind, inf)
        choice.worker.reserve(held, state.registry.next_turn())
        return Reservation(choice.worker, held)

    def as_running(self, job: Job, view: WorkerView, now: float) -> Job:
        """A new job as it is inserted when it has a slot; its first attempt begins then."""
        return msgspec.structs.replace(
            job,
            state=_RUNNING,
            owner=_INCARNATION,
            rung=_PUSH,
            lease=job.lease + 1,
            attempts=job.attempts + 1,
            assigned_by=self._state.name,
            worker_id=view.worker_id,
            incarnation=view.incarnation,
            enqueued_at=now,
            started_at=now,
        )

    def commit(self, reservation: Reservation, job: Job) -> Held:
        """The assignment is committed: the worker's view holds the lease from now on."""
        self.commit_all(((reservation, job),))
        return reservation.held

    def commit_all(self, given: Iterable[tuple[Reservation, Job]]) -> None:
        """The same for several jobs, at one reading of the clock."""
        grace = self._state.config.worker.timeout_grace_seconds
        since = self._state.clock.monotonic() + grace
        for reservation, job in given:
            held = reservation.held
            held.job = job
            held.deadline = since + job.timeout
            reservation.view.hold(held)

    def explain(self, job: Job) -> str:
        """Why the job waits, and where if a broker is configured, for people."""
        if job.queue in self._state.pauses:
            why = f"queued: {self._state.pauses.explain(job.queue)}"
        elif self._state.tally.waiting_total and self._must_wait(job):
            why = f"queued behind waiting jobs of queue {job.queue}"
        else:
            why = f"queued: {explain(job, self._state.registry)}"
        return why if self._state.broker is None else f"{why} (rung {self._state.queue.rung})"

    def _must_wait(self, job: Job) -> bool:
        """Whether a job that competes for the same kind of slot waits with its priority or more.

        Jobs that no worker could take now anyway, or of another kind, are not overtaken unfairly.
        """
        kinds: set[str] | None = None
        for waiting_type in self._state.tally.ahead(job.queue, job.priority):
            if waiting_type == job.type:
                return True
            kinds = self._kinds(job.type, job.queue) if kinds is None else kinds
            if kinds & self._kinds(waiting_type, job.queue):
                return True
        return False

    def _kinds(self, job_type: str, queue: str) -> set[str]:
        return self._state.registry.roster(job_type, queue).kinds()
