"""Gives waiting jobs to workers as slots free up, the most urgent and oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio

from hermesd.api.ladder import Ladder
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.outage import Outage
from hermesd.api.readahead import ReadAhead
from hermesd.api.recount import RECONCILE_SECONDS, SUSPECT_SECONDS, Recount
from hermesd.api.round import Round
from hermesd.api.route import Reservation, Router
from hermesd.api.state import ApiState
from hermesd.api.telling import Telling
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.job import Job, Rung, Token
from hermesd.core.records import Assignment
from hermesd.core.workerview import Held, WorkerView
from hermesd.signal import Signal

MAX_ROUND = 400  # jobs in one commit: while it is under way the last round's are being sent
LOOK_AGAIN_SECONDS = 5.0
RETRY_SECONDS = 0.5
_STORE: Final = Rung.STORE  # which takes a third of the time to read


class Feeder:
    """The agent of the store rung; `left` is set when nothing more can be pushed now."""

    def __init__(
        self,
        state: ApiState,
        router: Router,
        ladder: Ladder,
        reading: ReadAhead,
        lines: Lines,
        ledger: Ledger,
        work: Signal,
        left: Signal,
        telling: Telling,
    ):
        self._state = state
        self._router = router
        self._ladder = ladder
        self._reading = reading
        self._lines = lines
        self._ledger = ledger
        self._work = work
        self._left = left
        self._telling = telling
        self._counts = Recount(state)
        self._returned = 0

    async def run(self) -> None:
        """Work whenever a job is queued, a slot freed or a worker found; else look now and then."""
        outage = Outage(self._state.log, "cannot feed waiting jobs", "feeding waiting jobs again")
        while True:
            try:
                busy = await self.run_once()
            except (Unavailable, OutcomeUnknown) as error:
                outage.failed(error)
                await trio.sleep(RETRY_SECONDS)
                continue
            outage.worked()
            if not busy:
                self._left.set()
                self._telling.tell_left()
                await self._work.wait(LOOK_AGAIN_SECONDS)

    def recount(self) -> None:
        """Set all counts right by the store as soon as may be: others' changes were missed."""
        self._counts.doubt()
        self._work.set()

    async def run_once(self) -> int:
        """One round: how many jobs were offered to workers.

        Some may have been cancelled meanwhile; what stands behind them is for the next round.
        """
        alone = self._state.neighbours.alone
        await self._counts.when_due(RECONCILE_SECONDS if alone else SUSPECT_SECONDS)
        ahead, tally = self._state.ahead, self._state.tally
        if tally.returned != self._returned:
            # A job that came back from its worker may go before all that are known.
            self._returned = tally.returned
            ahead.clear()
        fed = Round(self._state, self._router, self._ladder, MAX_ROUND)
        if not fed.pairs:
            self._reading.at_odds(())
            return 0
        unsure = fed.place()
        if not fed.placed and (unsure or self._reading.at_odds(fed.pairs)):
            await self._reading.read(fed.pairs, correct=True)
            fed.place()
        if not fed.placed:
            await self._counts.when_due(SUSPECT_SECONDS)
            return 0
        if fed.short:
            await self._assign_and_read(fed)
        else:
            await self._assign(fed.placed)
        return len(fed.placed)

    async def _assign_and_read(self, fed: Round) -> None:
        """Read what stands behind those that are assigned, while the store commits that."""
        failed: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_on, fed)
            try:
                await self._assign(fed.placed)
            except (Unavailable, OutcomeUnknown) as error:
                failed = error
                nursery.cancel_scope.cancel()
        if failed is not None:
            self._state.ahead.clear()  # also of what was read without them
            raise failed

    async def _read_on(self, fed: Round) -> None:
        under_way = {Token(job.id, job.lease) for job, _ in fed.placed}
        with suppress(Unavailable):  # the next round reads, and tells if it cannot
            await self._reading.read(fed.pairs, without=under_way)

    async def _assign(self, placed: Sequence[tuple[Job, Reservation]]) -> None:
        state = self._state
        name, now = state.name, state.clock.utc()
        assignments = [
            Assignment(
                token=Token(job.id, job.lease),
                worker_id=slot.view.worker_id,
                incarnation=slot.view.incarnation,
                assigned_by=name,
                rung=_STORE,
                at=now,
                job=job,
            )
            for job, slot in placed
        ]
        try:
            # As in a submit: what is committed must be sent, whatever becomes of this task.
            with trio.CancelScope(shield=True):
                assigned = await state.jobs.assign(assignments)
        except BaseException:
            for _, slot in placed:
                slot.cancel()
            state.ahead.clear()
            self._lines.adopt_later([job.id for job, _ in placed])
            raise
        given: list[tuple[Reservation, Job]] = []
        pairs: list[tuple[Job, Job]] = []
        shares: dict[WorkerView, list[Held]] = {}
        for (before, slot), job in zip(placed, assigned, strict=True):
            if job is None:
                slot.cancel()
                state.metrics.lost_race(before.queue)
                state.ahead.misjudged(before)
                continue
            given.append((slot, job))
            pairs.append((before, job))
            shares.setdefault(slot.view, []).append(slot.held)
        self._router.commit_all(given)
        for view, held in shares.items():
            self._lines.send_all(view, held)
        self._ledger.assigned(pairs)
