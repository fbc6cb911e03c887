"""Moves scheduled jobs (backoff, snooze, delay) to the queue when their time has come."""

from __future__ import annotations

import trio

from hermesd.api.ledger import Ledger
from hermesd.api.outage import Outage
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.events import EventKind
from hermesd.core.states import State
from hermesd.signal import Signal

ROUND = 500
# A step of the wall clock, or a job scheduled elsewhere, is seen within this time.
LOOK_AGAIN_SECONDS = 15.0
RETRY_SECONDS = 0.5


class DueTimer:
    """Sleeps until the next due moment."""

    def __init__(self, state: ApiState, ledger: Ledger, due: Signal):
        self._state = state
        self._ledger = ledger
        self._due = due
        self._next_look = 0.0  # UTC

    def heard(self, at: float) -> None:
        """Another api has scheduled something for that UTC second."""
        if at < self._next_look:
            self._due.set()

    async def run(self) -> None:
        """Release what is due, then sleep until more is, or until something is scheduled."""
        outage = Outage(self._state.log, "cannot release due jobs", "releasing due jobs again")
        while True:
            try:
                seconds = await self.run_once()
            except (Unavailable, OutcomeUnknown) as error:
                outage.failed(error)
                await trio.sleep(RETRY_SECONDS)
                continue
            outage.worked()
            self._next_look = self._state.clock.utc() + seconds
            await self._due.wait(seconds)

    async def run_once(self) -> float:
        """Release one round of due jobs; the seconds until there is more to do."""
        next_due = await self._state.jobs.next_due()
        if next_due is None:
            return LOOK_AGAIN_SECONDS
        wait = next_due - self._state.clock.utc()
        if wait > 0:
            return min(wait, LOOK_AGAIN_SECONDS)
        jobs = await self._state.jobs.release_due(ROUND)
        self._ledger.queued(jobs, State.SCHEDULED, EventKind.DUE)
        return 0.0 if jobs else 0.05
