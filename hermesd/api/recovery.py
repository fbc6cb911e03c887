"""Takes jobs back to the store that wait at the broker."""

from __future__ import annotations

from collections.abc import Callable

import trio

from hermesd.api.ledger import Ledger
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown
from hermesd.core.job import Job
from hermesd.core.records import BrokerRange


class Recovery:
    """One commit at a time, which the ledger is told."""

    def __init__(self, state: ApiState, ledger: Ledger):
        self._state = state
        self._ledger = ledger

    async def take(
        self, wanted: BrokerRange, reason: str, chosen: Callable[[Job], bool] = lambda job: True
    ) -> list[Job]:
        """Those that were taken back, as they waited at the broker; only the `chosen` ones are."""
        state = self._state
        tokens = await state.outbox.with_broker(wanted)
        if not tokens:
            return []
        known = {job.token: job for job in await state.reader.get_many([t.job_id for t in tokens])}
        jobs = [known[token] for token in tokens if token in known and chosen(known[token])]
        try:
            with trio.CancelScope(shield=True):
                back = await state.outbox.take_back([job.token for job in jobs], state.clock.utc())
        except OutcomeUnknown:
            state.tally.returned += 1
            raise
        self._ledger.taken_back(jobs, back, reason)
        return [job for job, now in zip(jobs, back, strict=True) if now is not None]
