"""Gives waiting jobs to workers as slots free up, the most urgent and oldest first."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from hermesd.api.ladder import Ladder
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.outage import Outage
from hermesd.api.readahead import ReadAhead
from hermesd.api.round import Round
from hermesd.api.route import Reservation, Router
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.job import Job, Rung
from hermesd.core.records import Assignment
from hermesd.signal import Signal

MAX_ROUND = 200  # jobs in one commit: while it is under way the last round's are being sent
LOOK_AGAIN_SECONDS = 5.0
RETRY_SECONDS = 0.5
# How soon the counts are compared with the store: when they look wrong, and in any case.
SUSPECT_SECONDS = 10.0
RECONCILE_SECONDS = 60.0
COUNT_ENDED_SHARE = 0.001  # of the time, at most: to count a million takes about a second


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
    ):
        self._state = state
        self._router = router
        self._ladder = ladder
        self._reading = reading
        self._lines = lines
        self._ledger = ledger
        self._work = work
        self._left = left
        self._reconciled_at = state.clock.monotonic()
        self._count_ended_at = self._reconciled_at
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
                await self._work.wait(LOOK_AGAIN_SECONDS)

    async def run_once(self) -> int:
        """One round: how many jobs were offered to workers.

        Some may have been cancelled meanwhile; what stands behind them is for the next round.
        """
        await self._reconcile(RECONCILE_SECONDS)
        ahead, tally = self._state.ahead, self._state.tally
        if tally.returned != self._returned:
            # A job that came back from its worker may go before all that are known.
            self._returned = tally.returned
            ahead.clear()
        fed = Round(self._state, self._router, self._ladder, MAX_ROUND)
        if not fed.pairs:
            return 0
        if fed.place() and not fed.placed:
            await self._reading.read(fed.pairs)
            fed.place()
        if not fed.placed:
            await self._reconcile(SUSPECT_SECONDS)
            return 0
        await self._assign(fed.placed)
        return len(fed.placed)

    async def _assign(self, placed: Sequence[tuple[Job, Reservation]]) -> None:
        state = self._state
        name, now = state.name, state.clock.utc()
        assignments = [
            Assignment(
                token=job.token,
                worker_id=slot.view.worker_id,
                incarnation=slot.view.incarnation,
                assigned_by=name,
                rung=Rung.STORE,
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
        for (before, slot), job in zip(placed, assigned, strict=True):
            if job is None:
                slot.cancel()
                state.ahead.misjudged(before)
                continue
            held = self._router.commit(slot, job)
            self._ledger.assigned(before, job)
            self._lines.send(slot.view, held, None)

    async def _reconcile(self, seconds: float) -> None:
        """Set the counts right by the store, unless that was done in the last `seconds`.

        A job that waits in the store and is not counted would wait for ever. Those that have ended
        are counted too rarely to matter, however many there are.
        """
        now, tally = self._state.clock.monotonic(), self._state.tally
        if now - self._reconciled_at < seconds:
            return
        self._reconciled_at = now
        before, settled = tally.waiting_changes, not tally.under_way
        live = now < self._count_ended_at
        counts = await self._state.reader.counts(live=live)
        if not live:
            took = self._state.clock.monotonic() - now
            self._count_ended_at = now + took / COUNT_ENDED_SHARE
        if settled and not tally.under_way and tally.waiting_changes == before:
            tally.reset(counts)
        else:
            tally.amend(counts)
        self._state.ahead.doubt(tally.counts().waiting)
