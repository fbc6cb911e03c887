"""Jobs that their worker surely does not have: to the next one in one commit, or back to wait."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from hermesd.api.acceptance import Sending
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.route import Reservation, Router
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.job import Rung
from hermesd.core.outcome import Settlement, handed_back
from hermesd.core.records import Assignment, Verdict
from hermesd.core.states import Move
from hermesd.core.workerview import WorkerView

RETRY_SECONDS = 0.5


class Elsewhere:
    """Gives refused jobs on; a store that is away delays it and loses nothing."""

    def __init__(self, state: ApiState, router: Router, lines: Lines, ledger: Ledger):
        self._state = state
        self._router = router
        self._lines = lines
        self._ledger = ledger

    async def give(self, view: WorkerView, sendings: Sequence[Sending], reason: str) -> None:
        """Take the jobs from `view` and give each to another worker, or let it wait.

        Cancelled, as by the eviction of the worker, it leaves every job either given on or with
        `view`.
        """
        while mine := _still_held(view, sendings):
            try:
                # As in a submit: what is committed must be sent, whatever becomes of this task.
                with trio.CancelScope(shield=True):
                    await self._give(view, mine, reason)
            except (Unavailable, OutcomeUnknown) as error:
                self._state.log.warning("cannot give jobs on yet", jobs=len(mine), why=error.detail)
            if _still_held(view, mine):
                await trio.sleep(RETRY_SECONDS)

    async def _give(self, view: WorkerView, sendings: Sequence[Sending], reason: str) -> None:
        moving: list[tuple[Sending, Reservation]] = []
        waiting: list[tuple[Sending, Settlement]] = []
        now = self._state.clock.utc()
        for sending in sendings:
            job = sending.held.job
            slot = None if job.cancel_requested else self._router.place(job)
            if slot:
                moving.append((sending, slot))
            else:
                waiting.append((sending, handed_back(job, now)))
        await self._reassign(view, moving, now)
        await self._release(view, waiting, reason)

    async def _reassign(
        self, view: WorkerView, moving: Sequence[tuple[Sending, Reservation]], now: float
    ) -> None:
        if not moving:
            return
        assignments = [
            Assignment(
                token=sending.held.job.token,
                worker_id=slot.view.worker_id,
                incarnation=slot.view.incarnation,
                assigned_by=self._state.name,
                rung=Rung.PUSH,
                at=now,
                move=Move.REASSIGN,
            )
            for sending, slot in moving
        ]
        try:
            jobs = await self._state.jobs.assign(assignments)
        except BaseException:
            for _, slot in moving:
                slot.cancel()
            # Of unknown fate: where it was committed, the reaper finds that nobody sent it.
            self._lines.adopt_later([sending.held.job.id for sending, _ in moving])
            raise
        for (sending, slot), job in zip(moving, jobs, strict=True):
            before = sending.held.job
            view.drop(before.id, before.lease)
            if job is None:  # cancelled, overruled or taken over meanwhile
                slot.cancel()
                continue
            held = self._router.commit(slot, job)
            self._ledger.assigned(((before, job),))
            self._lines.send(slot.view, held, sending.waiter)

    async def _release(
        self, view: WorkerView, waiting: Sequence[tuple[Sending, Settlement]], reason: str
    ) -> None:
        if not waiting:
            return
        verdicts = await self._state.jobs.settle([settlement for _, settlement in waiting])
        for (sending, settlement), verdict in zip(waiting, verdicts, strict=True):
            if verdict is Verdict.RETRY:
                continue
            job = sending.held.job
            view.drop(job.id, job.lease)
            if verdict is Verdict.RECORDED:
                self._ledger.settled(((job, settlement),))
            if sending.waiter:
                sending.waiter.queued(f"queued: {reason}")


def _still_held(view: WorkerView, sendings: Sequence[Sending]) -> list[Sending]:
    """Those that nobody has settled or taken over meanwhile."""
    return [s for s in sendings if view.held.get(s.held.job.id) is s.held]
