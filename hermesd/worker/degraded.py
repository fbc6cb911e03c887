"""Jobs that run while no api answers: under the broker's acknowledgement, their outcomes published.

Such a job keeps its message, so that its worker's death gives it to another. Its outcome goes to
the outcomes queue before the message is acknowledged; there it waits for an api, which takes it as
claim and outcome at once. How a job began is how it ends, whether or not an api is back meanwhile.
"""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from hermesd.core.broker import Message, PublishFate
from hermesd.core.errors import TooLarge
from hermesd.core.job import ErrorInfo, Token
from hermesd.core.messages import OutcomeMessage
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.worker.claim import Pulled, settle
from hermesd.worker.execute import Executor
from hermesd.worker.leases import Running, job_of
from hermesd.worker.state import WorkerState

MIN_RETRY_SECONDS: Final = 0.2
MAX_RETRY_SECONDS: Final = 3.0


class Degraded:
    """Begins such jobs in the `jobs` nursery, and publishes outcomes."""

    def __init__(self, state: WorkerState, executor: Executor, jobs: trio.Nursery):
        self._state = state
        self._executor = executor
        self._jobs = jobs
        self._all_published = trio.Event()

    def begin(self, pulled: Pulled) -> bool:
        """Run a message whose slot is taken; False where it may run longer than it can be kept."""
        state, item = self._state, pulled.message.job
        if item.timeout >= state.config.queue.consumer_timeout_seconds:
            return False
        job = msgspec.structs.replace(job_of(item, state.worker_id), attempts=item.attempt + 1)
        deadline = state.clock.monotonic() + job.timeout
        kind, utc = pulled.handler.type.kind, state.clock.utc()
        run = Running(job, job.token, kind, None, utc, deadline)
        state.leases.begin(run)
        state.metrics.degraded(job.type)
        self._jobs.start_soon(self._run, pulled, run, state.incarnation)
        return True

    async def flushed(self) -> None:
        """Return when every outcome of such a job is published."""
        while self._state.leases.unpublished:
            self._all_published = trio.Event()
            await self._all_published.wait()

    async def publish_unsettled(self) -> None:
        """Publish what no api has taken, and settle what is confirmed: the worker is leaving.

        The lease of a message is the one before that of its run.
        """
        state = self._state
        if state.broker is None or state.messages is None:
            return
        known = {name: session.store_id for name, session in state.sessions.items()}
        left = [
            (outcome, known[api_name])
            for outcome, api_name in state.leases.unsettled.values()
            if api_name in known
        ]
        messages = []
        for outcome, store_id in left:
            token = Token(outcome.token.job_id, outcome.token.lease - 1)
            moved = msgspec.structs.replace(outcome, token=token)
            messages.append(self._message(moved, store_id, state.incarnation))
        if messages:
            fates = await state.broker.publish([self._encoded(message) for message in messages])
            state.leases.settled(
                outcome.token
                for (outcome, _), fate in zip(left, fates, strict=True)
                if fate is PublishFate.CONFIRMED
            )

    async def _run(self, pulled: Pulled, run: Running, incarnation: str) -> None:
        leases = self._state.leases
        try:
            await self._executor.execute(run, pulled.handler)
            outcome = leases.unpublished.get(run.token)
            if outcome is None or outcome.kind is OutcomeKind.INTERRUPTED:
                await settle(pulled.delivery.requeue)
                return
            message = self._message(outcome, pulled.message.store_id, incarnation)
            await self._publish(message)
            await settle(pulled.delivery.ack)
        finally:
            leases.unpublished.pop(run.token, None)
            leases.in_hand.discard(pulled.grant)
            if not leases.unpublished:
                self._all_published.set()

    async def _publish(self, message: OutcomeMessage) -> None:
        """Publish until it is confirmed, at whatever broker there is by then."""
        broker = self._state.broker
        assert broker is not None, "the message came from it"
        encoded, retry = self._encoded(message), MIN_RETRY_SECONDS
        while True:
            [fate] = await broker.publish([encoded])
            if fate is PublishFate.CONFIRMED:
                return
            if retry == MIN_RETRY_SECONDS:
                token = message.outcome.token
                self._state.log.warning("cannot publish yet", job_id=token.job_id, why=str(fate))
            await trio.sleep(retry)
            retry = min(retry * 2, MAX_RETRY_SECONDS)

    def _message(self, outcome: Outcome, store_id: str, incarnation: str) -> OutcomeMessage:
        return OutcomeMessage(
            store_id=store_id,
            worker_id=self._state.worker_id,
            incarnation=incarnation,
            outcome=outcome,
        )

    def _encoded(self, message: OutcomeMessage) -> Message:
        """Of an outcome that is too large, that it is so."""
        messages = self._state.messages
        assert messages is not None, "there is a broker"
        try:
            return messages.encode_outcome(message)
        except TooLarge as error:
            plain = msgspec.structs.replace(
                message.outcome,
                kind=OutcomeKind.PERMANENT,
                result=None,
                error=ErrorInfo(kind="unstorable-result", message=error.detail),
            )
            return messages.encode_outcome(msgspec.structs.replace(message, outcome=plain))
