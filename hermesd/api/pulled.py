"""Takes the outcomes of jobs that workers ran while no api was there to be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from hermesd.api.brokerside import BrokerSide
from hermesd.api.consume import MAX_BATCH
from hermesd.api.ledger import Ledger
from hermesd.api.record import Recorder
from hermesd.api.state import ApiState
from hermesd.core.errors import HermesError, InvalidValue, OutcomeUnknown, Unavailable
from hermesd.core.messages import OutcomeMessage
from hermesd.core.records import PulledAnswer, PulledOutcome, Verdict
from hermesd.ports import Delivery

CONNECT_SECONDS: Final = 2.0  # how long a starting api waits for the broker
CATCH_UP_SECONDS: Final = 15.0
RETRY_SECONDS: Final = 0.5

Told = tuple[Delivery, OutcomeMessage]


class PulledOutcomes:
    """Each is claim and outcome in one; what nobody can use goes to the dead-letter queue."""

    def __init__(self, state: ApiState, side: BrokerSide, recorder: Recorder, ledger: Ledger):
        self._state = state
        self._side = side
        self._recorder = recorder
        self._ledger = ledger

    async def catch_up(self) -> None:
        """Take what is there already, before anything is given to others; bounded."""
        broker, queue = self._side.broker, self._side.names.outcomes
        with trio.move_on_after(CONNECT_SECONDS):
            while not broker.status.connected:
                await broker.changed()
        taken = 0
        try:
            with trio.move_on_after(CATCH_UP_SECONDS):
                while broker.status.connected:
                    batch: list[Delivery] = []
                    while len(batch) < MAX_BATCH and (found := await broker.get(queue)):
                        batch.append(found)
                    if not batch:
                        break
                    await self.handle(batch)
                    taken += len(batch)
        except HermesError as error:
            self._state.log.info("no outcomes to catch up with", why=error.detail)
        if taken:
            self._state.log.info("caught up with outcomes", outcomes=taken)

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Record a batch; repeats while the store is away."""
        told: list[Told] = []
        for delivery in deliveries:
            try:
                message = self._side.messages.decode_outcome(delivery.body)
            except InvalidValue as error:
                await self._bury(delivery, error.detail)
                continue
            if message.store_id != self._state.store_id:
                await self._bury(delivery, f"it is of store {message.store_id}")
            else:
                told.append((delivery, message))
        while told:
            try:
                told = await self._record(told)
            except (Unavailable, OutcomeUnknown) as error:
                self._state.log.warning("cannot record yet", outcomes=len(told), why=error.detail)
            if told:
                await trio.sleep(RETRY_SECONDS)

    async def _record(self, told: Sequence[Told]) -> list[Told]:
        """Those that have to be tried again."""
        now = self._state.clock.utc()
        ids = sorted({message.outcome.token.job_id for _, message in told})
        jobs = {job.id: job for job in await self._state.reader.get_many(ids)}
        pulled: list[PulledOutcome] = []
        for _, message in told:
            outcome = message.outcome
            one = PulledOutcome(
                token=outcome.token,
                incarnation=message.incarnation,
                worker_id=message.worker_id,
                outcome=outcome,
            )
            running = one.running(jobs.get(outcome.token.job_id))
            if running is not None:
                settlement = self._recorder.settlement(outcome, running, now)
                one = PulledOutcome(
                    token=one.token,
                    incarnation=one.incarnation,
                    worker_id=one.worker_id,
                    outcome=outcome,
                    settlement=settlement,
                )
            pulled.append(one)
        with trio.CancelScope(shield=True):
            answers = await self._state.outbox.settle_pulled(pulled, now)
            for answer, one in zip(answers, pulled, strict=True):
                self._tell(answer, one)
        again: list[Told] = []
        for (delivery, message), answer in zip(told, answers, strict=True):
            if answer.verdict is Verdict.RETRY:
                again.append((delivery, message))
            elif answer.verdict is Verdict.UNKNOWN:
                await self._bury(delivery, f"there is no job {message.outcome.token.job_id}")
            else:
                await delivery.ack()
        return again

    def _tell(self, answer: PulledAnswer, one: PulledOutcome) -> None:
        self._state.metrics.pulled(answer.verdict)
        running, settlement = answer.running, answer.settlement
        if running is None or settlement is None:
            return
        if answer.waiting is not None:
            self._ledger.assigned(answer.waiting, running)
        view = self._state.registry.get(one.incarnation)
        if view is not None:
            view.drop(running.id, running.lease)
        self._ledger.settled(running, settlement)

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        self._state.metrics.pulled("unusable")
        self._state.log.warning("unusable outcome", queue=delivery.queue, why=reason)
        await delivery.reject()
