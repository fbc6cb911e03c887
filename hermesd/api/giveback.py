"""Gives back what gone workers held: their jobs wait again, or have failed by it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from hermesd.api.hold import is_with
from hermesd.api.ledger import Ledger
from hermesd.api.state import ApiState
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.outcome import Settlement, lost
from hermesd.core.records import Verdict
from hermesd.core.states import State
from hermesd.core.workerview import Held, WorkerView

ORPHAN_ROUND: Final = 1000


class GiveBack:
    """Settles jobs that no worker will; all of it raises Unavailable and OutcomeUnknown."""

    def __init__(self, state: ApiState, ledger: Ledger) -> None:
        self._state = state
        self._ledger = ledger

    async def release(self, view: WorkerView, leases: Sequence[tuple[Held, bool]]) -> int:
        """Leases that are lost, each with whether its job is charged with it; how many jobs."""
        if not leases:
            return 0
        now = self._state.clock.utc()
        settlements = [lost(held.job, now, proven_dead=dead) for held, dead in leases]
        return await self.settle(view, [held.job for held, _ in leases], settlements)

    async def charge(self, incarnation: str, but: Collection[str]) -> int:
        """Release what a dead incarnation ran, but for some jobs; how many there were.

        Other apis have given them out, or an earlier life of this one: they may have begun.
        """
        ids = [i for i in await self._state.apis.held_by(incarnation) if i not in but]
        if not ids:
            return 0
        found = await self._state.reader.get_many(ids)
        jobs = [job for job in found if is_with(job, incarnation)]
        now = self._state.clock.utc()
        return await self.settle(None, jobs, [lost(job, now, proven_dead=True) for job in jobs])

    async def settle(
        self, view: WorkerView | None, jobs: Sequence[Job], settlements: Sequence[Settlement]
    ) -> int:
        """Record the settlements of jobs that `view` held, or nobody here; how many were."""
        verdicts = await self._state.jobs.settle(settlements)
        recorded = 0
        for job, settlement, verdict in zip(jobs, settlements, verdicts, strict=True):
            if verdict is Verdict.RETRY:
                continue  # it is held still, so that the next pass finds it again
            if view is not None:
                view.drop(job.id, job.lease)
            if verdict is Verdict.RECORDED:
                recorded += 1
                self._ledger.settled(((job, settlement),))
        return recorded

    async def orphans(self) -> None:
        """Release what fenced incarnations had."""
        while jobs := await self._state.jobs.release_orphans(ORPHAN_ROUND):
            self._ledger.queued(jobs, State.RUNNING, EventKind.RELEASED)
