"""Takes the outcomes of jobs that workers ran while no api was there to be told."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio

from hermesd.api.brokerside import BrokerSide
from hermesd.api.consume import MAX_BATCH
from hermesd.api.ledger import Ledger
from hermesd.api.record import Recorder
from hermesd.api.state import ApiState
from hermesd.core.errors import HermesError, InvalidValue, OutcomeUnknown, Unavailable
from hermesd.core.job import Token
from hermesd.core.messages import OutcomeMessage
from hermesd.core.pulled import PulledAnswer, PulledOutcome
from hermesd.core.records import Verdict
from hermesd.ports import Delivery

CONNECT_SECONDS: Final = 2.0  # how long a starting api waits for the broker
CATCH_UP_SECONDS: Final = 15.0
RETRY_SECONDS: Final = 0.5
ARRIVE_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.05
OTHERS_SECONDS: Final = 1.0  # for what another api has taken and not recorded yet

Told = tuple[Delivery, OutcomeMessage]


class PulledOutcomes:
    """Each is claim and outcome in one; what nobody can use goes to the dead-letter queue."""

    def __init__(self, state: ApiState, side: BrokerSide, recorder: Recorder, ledger: Ledger):
        self._state = state
        self._side = side
        self._recorder = recorder
        self._ledger = ledger
        self._busy = False

    async def catch_up(self) -> None:
        """Take what is there already, before anything is given to others; bounded."""
        broker, queue = self._side.broker, self._side.names.outcomes
        with trio.move_on_after(CONNECT_SECONDS):
            while not broker.status.connected:
                await broker.changed()
        taken, batch = 0, list[Delivery]()
        try:
            with trio.move_on_after(CATCH_UP_SECONDS):
                while broker.status.connected:
                    batch = []
                    while len(batch) < MAX_BATCH and (found := await broker.get(queue)):
                        batch.append(found)
                    if not batch:
                        break
                    await self.handle(batch)
                    taken += len(batch)
        except HermesError as error:
            self._state.log.info("no outcomes to catch up with", why=error.detail)
        finally:
            # What the time was too short for is for the consumer; nothing else would give it back.
            with trio.CancelScope(shield=True), suppress(HermesError):
                for delivery in batch:
                    await delivery.requeue()
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
        tokens = [message.outcome.token for _, message in told]
        runs = [Token(each.job_id, each.lease + 1) for each in tokens]
        self._busy = True
        try:
            with self._state.unrecorded.noted(runs):
                await self._record_all(told)
        finally:
            self._busy = False

    async def arrived(self) -> bool:
        """Return when all that was published before is recorded, or there is no broker.

        False where that takes too long.
        """
        broker, queue = self._side.broker, self._side.names.outcomes
        pause = OTHERS_SECONDS if self._state.bus.shared else LOOK_SECONDS
        with trio.move_on_after(ARRIVE_SECONDS):
            try:
                while True:
                    facts = await broker.depth(queue)
                    await trio.sleep(pause)  # what has left the queue may be on its way here
                    if not (facts and facts.messages) and not self._busy:
                        return True
            except HermesError:
                return not broker.status.connected
        return False

    async def _record_all(self, told: list[Told]) -> None:
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
            self._ledger.assigned(((answer.waiting, running),))
        view = self._state.registry.get(one.incarnation)
        if view is not None:
            view.drop(running.id, running.lease)
        self._ledger.settled(((running, settlement),))

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        self._state.metrics.pulled("unusable")
        self._state.log.warning("unusable outcome", queue=delivery.queue, why=reason)
        await delivery.reject()
