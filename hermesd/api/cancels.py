"""Running jobs that are to be cancelled: their workers hear of it from the api that assigned them.

That one marks the lease that it holds and pokes the worker, whose heartbeat answers name the job
until it is gone. Another api tells it; where that word is lost, it sees the mark in the store.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hermesd.api.lines import Lines
from hermesd.api.state import ApiState
from hermesd.core.job import Job
from hermesd.core.words import Cancelled
from hermesd.core.workerview import Held, WorkerView


class Cancels:
    """Marks, pokes, and tells."""

    def __init__(self, state: ApiState, lines: Lines):
        self._state = state
        self._lines = lines

    def asked(self, job: Job) -> None:
        """An operator has asked for it here, and the store knows."""
        found = self._state.registry.holder(job.id, job.lease)
        if found is not None:
            self._mark(*found)
        elif job.assigned_by in self._state.neighbours.others:
            self._state.bus.tell(Cancelled(job_ids=(job.id,)))
        else:
            # Its assignment is committed and not in memory yet: the reaper reads it again.
            self._lines.adopt_later([job.id])

    def heard(self, job_ids: Iterable[str]) -> None:
        """Operators have asked for it at other apis."""
        for view in self._state.registry:
            for job_id in job_ids:
                held = view.held.get(job_id)
                if held is not None:
                    self._mark(view, held)

    def seen(self, rows: Iterable[Job]) -> None:
        """The running jobs that this api has assigned, as the store has them."""
        for job in rows:
            if job.cancel_requested:
                found = self._state.registry.holder(job.id, job.lease)
                if found is not None:
                    self._mark(*found)

    def _mark(self, view: WorkerView, held: Held) -> None:
        if held.job.cancel_requested:
            return
        held.job = msgspec.structs.replace(held.job, cancel_requested=True)
        self._state.log.info("cancel requested", job_id=held.job.id, worker_id=view.worker_id)
        self._lines.poke(view.incarnation)
