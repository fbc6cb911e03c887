"""Jobs in memory that wait at a broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import trio
from msgspec.structs import replace

from hermesd.core.job import Job, Owner, Token
from hermesd.core.pulled import PulledAnswer, PulledOutcome
from hermesd.core.records import BrokerRange
from hermesd.stores import broker_moves
from hermesd.stores.micros import whole
from hermesd.stores.moves import check_settleable
from hermesd.testing.memory_contents import Contents


class MemoryOutbox:
    """Outbox; see `ports.Outbox`."""

    def __init__(self, contents: Contents) -> None:
        self._held = contents

    async def hand_over(self, tokens: Sequence[Token], at: float) -> Sequence[bool]:
        """Whether each waits at the broker now by this call."""
        await trio.lowlevel.checkpoint()
        return [self._hand_over(token, whole(at)) for token in tokens]

    def _hand_over(self, token: Token, at: float) -> bool:
        change = broker_moves.handed_over(self._held.jobs.get(token.job_id), token)
        if self._held.apply(change) is None:
            return False
        self._held.published[token.job_id] = at
        return True

    async def take_back(self, tokens: Sequence[Token], at: float) -> Sequence[Job | None]:
        """Each job as it waits in the store, or None."""
        await trio.lowlevel.checkpoint()
        jobs = self._held.jobs
        back = (
            self._held.apply(broker_moves.taken_back(jobs.get(one.job_id), one, whole(at)))
            for one in tokens
        )
        return [job and replace(job, payload=msgspec.Raw(b"")) for job in back]

    async def with_broker(self, wanted: BrokerRange) -> Sequence[Token]:
        """By the time of publishing."""
        await trio.lowlevel.checkpoint()
        fitting = [
            job
            for job in self._at_broker(wanted.published_before)
            if job.queue == wanted.queue and wanted.lowest <= job.priority <= wanted.highest
        ]
        fitting.sort(key=lambda job: (self._held.published[job.id], job.id))
        return [job.token for job in fitting[: max(wanted.limit, 0)]]

    async def broker_counts(self, published_before: float) -> Mapping[tuple[str, int], int]:
        """By queue and priority."""
        await trio.lowlevel.checkpoint()
        found = self._at_broker(published_before)
        return dict(Counter((job.queue, job.priority) for job in found))

    async def settle_pulled(
        self, outcomes: Sequence[PulledOutcome], at: float
    ) -> Sequence[PulledAnswer]:
        """Claims and outcomes together."""
        for outcome in outcomes:
            if outcome.settlement is not None:
                check_settleable(outcome.settlement)
        await trio.lowlevel.checkpoint()
        return [self._settle_pulled(outcome, at) for outcome in outcomes]

    def _settle_pulled(self, outcome: PulledOutcome, at: float) -> PulledAnswer:
        job = self._held.jobs.get(outcome.token.job_id)
        answer, change = broker_moves.pulled(job, outcome, at)
        self._held.apply(change)
        return answer

    def _at_broker(self, published_before: float) -> Iterable[Job]:
        before = whole(published_before)
        for job_id, published in self._held.published.items():
            job = self._held.jobs[job_id]
            if job.owner is Owner.AMQP and published < before:
                yield job
