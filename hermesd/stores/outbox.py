"""The Outbox port: writes through the group commit, reads in threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from hermesd.core.job import Job, Token
from hermesd.core.pulled import PulledAnswer, PulledOutcome
from hermesd.core.records import BrokerRange, Verdict
from hermesd.stores.backend import Verb
from hermesd.stores.micros import micros
from hermesd.stores.moves import check_settleable
from hermesd.stores.questions import QueueQuestions, Reads
from hermesd.stores.writes import Writes


class StoredOutbox:
    """Outbox; see `ports.Outbox` for the contract of each method."""

    def __init__(self, writes: Writes, reads: Reads, ask: QueueQuestions) -> None:
        self._writes = writes
        self._reads = reads
        self._ask = ask

    async def hand_over(self, tokens: Sequence[Token], at: float) -> Sequence[bool]:
        """Whether each waits at the broker now by this call."""
        return await self._writes.do(Verb.HAND_OVER, [(token, micros(at)) for token in tokens])

    async def take_back(self, tokens: Sequence[Token], at: float) -> Sequence[Job | None]:
        """Each job as it waits in the store, or None."""
        return await self._writes.do(Verb.TAKE_BACK, [(token, at) for token in tokens])

    async def with_broker(self, wanted: BrokerRange) -> Sequence[Token]:
        """By the time of publishing."""
        if wanted.limit < 1:
            return ()
        return await self._reads.run(partial(self._ask.with_broker, wanted))

    async def broker_counts(self, published_before: float) -> Mapping[tuple[str, int], int]:
        """Through the index of those at the broker."""
        return await self._reads.run(partial(self._ask.broker_counts, micros(published_before)))

    async def settle_pulled(
        self, outcomes: Sequence[PulledOutcome], at: float
    ) -> Sequence[PulledAnswer]:
        """Claims and outcomes in one transaction."""
        for outcome in outcomes:
            if outcome.settlement is not None:
                check_settleable(outcome.settlement)
        items = [(outcome, at) for outcome in outcomes]
        answers = await self._writes.answers(Verb.SETTLE_PULLED, items)
        errors = [one for one in answers if isinstance(one, Exception)]
        if errors and len(errors) == len(answers):
            raise errors[0]
        retry = PulledAnswer(verdict=Verdict.RETRY)
        return [retry if isinstance(one, Exception) else one for one in answers]
