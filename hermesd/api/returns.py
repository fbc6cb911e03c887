"""Takes back the jobs whose messages the broker gave up, or a worker could not use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from hermesd.api.brokerside import BrokerSide
from hermesd.api.ladder import Ladder
from hermesd.api.ledger import Ledger
from hermesd.api.state import ApiState
from hermesd.core.errors import InvalidValue, OutcomeUnknown, Unavailable
from hermesd.core.job import ErrorInfo, Job, Token
from hermesd.core.outcome import Settlement
from hermesd.core.records import Verdict
from hermesd.core.states import Move, State
from hermesd.ports import Delivery

RETRY_SECONDS: Final = 0.5
WHY: Final = "x-first-death-reason"  # RabbitMQ's, as are the reasons
REJECTED: Final = "rejected"
GIVEN_UP: Final = "delivery_limit"


class Returns:
    """A job goes back to the store, to be pushed if the broker has given its message up.

    That alone proves nothing against it, since messages also go back from workers that are busy;
    but one that has ended workers before, up to its crash limit but one, has failed then.
    """

    def __init__(self, state: ApiState, side: BrokerSide, ladder: Ladder, ledger: Ledger):
        self._state = state
        self._side = side
        self._ladder = ladder
        self._ledger = ledger

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Deal with a batch; repeats while the store is away."""
        mine: list[tuple[Delivery, Token]] = []
        for delivery in deliveries:
            self._state.metrics.returned(_reason(delivery))
            try:
                stamp = self._side.stamp_of(delivery.headers)
            except InvalidValue as error:
                await self._bury(delivery, error.detail)
                continue
            if stamp.store_id != self._state.store_id:
                await self._bury(delivery, f"it is of store {stamp.store_id}")
            else:
                mine.append((delivery, stamp.token))
        while mine:
            try:
                await self._take_back(mine)
                break
            except (Unavailable, OutcomeUnknown) as error:
                self._state.log.warning("cannot take back yet", jobs=len(mine), why=error.detail)
            await trio.sleep(RETRY_SECONDS)

    async def _take_back(self, mine: Sequence[tuple[Delivery, Token]]) -> None:
        """What is acknowledged again after a repetition changes nothing, by its old lease."""
        ids = sorted({token.job_id for _, token in mine})
        jobs = {job.id: job for job in await self._state.reader.get_many(ids)}
        failing: list[Job] = []
        tokens: list[Token] = []
        for delivery, token in mine:
            job = jobs.get(token.job_id)
            if job is None or job.token != token or job.state is not State.QUEUED:
                continue
            if _reason(delivery) == GIVEN_UP:
                # Messages of a paused queue go back without having been tried.
                if job.suspect and self._state.pauses.get(job.queue) is None:
                    failing.append(job)
                    continue
                self._ladder.given_up(job.id)
            elif _reason(delivery) == REJECTED:
                self._ladder.rejected(job.queue, job.type)
            tokens.append(token)
        with trio.CancelScope(shield=True):
            await self._fail(failing)
            back = await self._state.outbox.take_back(tokens, self._state.clock.utc())
            before = [jobs[token.job_id] for token in tokens]
            self._ledger.taken_back(before, back, "returned")
        for delivery, token in mine:
            if token.job_id in jobs:
                await delivery.ack()
            else:
                await self._bury(delivery, f"there is no job {token.job_id}")

    async def _fail(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        now = self._state.clock.utc()
        settlements = [
            Settlement(token=job.token, move=Move.RETURN, at=now, error=_GIVEN_UP) for job in jobs
        ]
        verdicts = await self._state.jobs.settle(settlements)
        for job, settlement, verdict in zip(jobs, settlements, verdicts, strict=True):
            if verdict is Verdict.RETRY:
                raise Unavailable("the store did not take it now")
            if verdict is Verdict.RECORDED:
                self._ledger.returned(job, settlement)

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        self._state.log.warning("unusable message", queue=delivery.queue, why=reason)
        await delivery.reject()


_GIVEN_UP: Final = ErrorInfo(
    kind="quarantined",
    message="its message went back to the broker so often that the broker gave it up",
)


def _reason(delivery: Delivery) -> str:
    """Why the broker moved it, in the broker's words."""
    return str(delivery.headers.get(WHY, "unknown"))
