"""Claims pulled messages at an api, all that piled up in one call, and begins what is granted."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import trio

from hermesd.core.errors import HermesError, InvalidValue, TooLarge, Unavailable
from hermesd.core.job import Job, Token
from hermesd.core.messages import JobMessage
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict
from hermesd.handlers.contract import Handler
from hermesd.ports import Delivery
from hermesd.signal import Signal
from hermesd.worker.state import Session, WorkerState

MAX_CLAIMS: Final = 200
MAX_CLAIM_BYTES: Final = 1024 * 1024  # of messages: the granted jobs come back in the answer
MIN_RETRY_SECONDS: Final = 0.1
MAX_RETRY_SECONDS: Final = 2.0
# No api can do anything with these; its dead letters end where people look at them.
USELESS: Final = frozenset({ClaimVerdict.UNKNOWN, ClaimVerdict.FOREIGN_STORE})


@dataclass(slots=True, eq=False)
class Pulled:
    """A message in hand; a slot of its handler's kind is taken. `since` is monotonic seconds."""

    delivery: Delivery
    message: JobMessage
    handler: Handler
    since: float

    @property
    def grant(self) -> Token:
        """The lease that a claim gives it."""
        return Token(self.message.job.id, self.message.job.lease + 1)


# Begin a job: the message, the job as granted, the api that granted it.
Begin = Callable[[Pulled, Job, str], None]
# Begin one without an api; False where this must not be.
BeginUnclaimed = Callable[[Pulled], bool]


class Claimer:
    """Holds messages from the moment they are pulled until they run or are given back."""

    def __init__(self, state: WorkerState, begin: Begin, begin_unclaimed: BeginUnclaimed):
        self.failing = False  # the last claim had no answer
        self._state = state
        self._begin = begin
        self._begin_unclaimed = begin_unclaimed
        self._waiting: dict[Pulled, None] = {}  # the oldest first
        self._work = Signal()
        self._closing = False
        self._most = MAX_CLAIMS
        # Longer than it takes to become degraded, so that nothing goes back just before that.
        self._hold_seconds = 2 * state.config.liveness.ttl_seconds

    @property
    def waiting(self) -> int:
        """How many messages are held."""
        return len(self._waiting)

    def take(self, pulled: Pulled) -> None:
        """Hold a message; its slot is taken, and is the claimer's to give back."""
        self._state.leases.in_hand.add(pulled.grant)
        self._waiting[pulled] = None
        self._work.set()

    def close(self) -> None:
        """Let `run` end after the claim that is under way, if there is one."""
        self._closing = True
        self._work.set()

    async def run(self) -> None:
        """Claim whenever something is held; what is held at the end is given back."""
        retry = MIN_RETRY_SECONDS
        try:
            while not self._closing:
                if not self._waiting:
                    await self._work.wait()
                elif await self.run_once():
                    retry = MIN_RETRY_SECONDS
                else:
                    await self._give_back_old()
                    await self._work.wait(retry)
                    retry = min(retry * 2, MAX_RETRY_SECONDS)
        finally:
            self._closing = False
            with trio.CancelScope(shield=True):
                await self.give_back(list(self._waiting))

    async def run_once(self) -> bool:
        """One claim; True if it was answered."""
        await self._give_back_paused()
        if self._state.degraded:
            self.failing = False
            await self._run_unclaimed()
            return True
        session = next((each for each in self._state.sessions.values() if each.live), None)
        answered = session is not None and await self._claim(session, self._batch())
        self.failing = not answered
        return answered

    async def give_back(self, messages: Sequence[Pulled]) -> None:
        """Somebody else may have these."""
        for pulled in messages:
            self._drop(pulled)
            self._state.slots.give_back(pulled.handler.type.kind)
            self._state.metrics.not_run("given-back")
            await settle(pulled.delivery.requeue)

    async def _give_back_old(self) -> None:
        before = self._state.clock.monotonic() - self._hold_seconds
        await self.give_back([pulled for pulled in self._waiting if pulled.since <= before])

    async def _give_back_paused(self) -> None:
        paused = self._state.paused_queues
        if paused:
            await self.give_back([p for p in self._waiting if p.message.job.queue in paused])

    def _batch(self) -> list[Pulled]:
        size = 0
        batch: list[Pulled] = []
        for pulled in itertools.islice(self._waiting, self._most):
            size += len(pulled.delivery.body)
            if batch and size > MAX_CLAIM_BYTES:
                break
            batch.append(pulled)
        return batch

    async def _claim(self, session: Session, batch: Sequence[Pulled]) -> bool:
        state, incarnation = self._state, self._state.incarnation
        claims = [
            Claim(
                store_id=pulled.message.store_id,
                token=pulled.message.job.token,
                worker_id=state.worker_id,
                incarnation=incarnation,
                heartbeat=session.heartbeat_number,
                queue=pulled.message.job.queue,
            )
            for pulled in batch
        ]
        with state.leases.witnessed() as settled:
            try:
                answers = await session.link.claim(claims)
            except (TooLarge, InvalidValue) as error:
                await self._part(batch, error)
                return True
            except HermesError as error:
                say = state.log.debug if self.failing else state.log.warning
                say("cannot claim yet", jobs=len(claims), api=session.api_name, why=error.detail)
                if type(error) is Unavailable:
                    state.lose(session)
                return False
        self._most = MAX_CLAIMS
        # No await before all are begun: heartbeats must find each as in hand or as running.
        words = [
            self._take_word(pulled, answer, session, incarnation, settled)
            for pulled, answer in zip(batch, answers, strict=True)
        ]
        for pulled, word in zip(batch, words, strict=True):
            if word is ClaimVerdict.FENCED:
                continue
            await settle(_end_of(pulled.delivery, word))
        if ClaimVerdict.FENCED in words:
            state.beat_now()
            return False
        return True

    def _take_word(
        self,
        pulled: Pulled,
        answer: ClaimAnswer,
        session: Session,
        incarnation: str,
        settled: set[Token],
    ) -> ClaimVerdict:
        """Begin a granted job; a fenced one is held, to be claimed as the next incarnation."""
        state, leases = self._state, self._state.leases
        word, job = answer.verdict, answer.job
        if word is ClaimVerdict.FENCED:
            state.metrics.claimed(word)
            return word
        self._drop(pulled)
        if word is ClaimVerdict.GRANTED and job is not None and state.incarnation == incarnation:
            held = (leases.running, leases.unsettled, settled)
            if not any(job.token in each for each in held):
                state.metrics.claimed(word)
                self._begin(pulled, job, session.api_name)
                return word
            state.metrics.claimed("doubled")
        else:
            state.metrics.claimed(word)
        if word is ClaimVerdict.PAUSED:  # the next heartbeat's answer says when it is no more
            state.learn_paused(session, {*session.paused_queues, pulled.message.job.queue})
        state.slots.give_back(pulled.handler.type.kind)
        return word

    async def _part(self, batch: Sequence[Pulled], error: HermesError) -> None:
        """The api refuses such a call: halve it until the message at fault is alone."""
        if len(batch) > 1:
            self._most = len(batch) // 2
            return
        [pulled] = batch
        job = pulled.message.job
        self._state.log.error("claim refused", job_id=job.id, why=error.detail)
        self._drop(pulled)
        self._state.slots.give_back(pulled.handler.type.kind)
        self._state.metrics.not_run("refused")
        await settle(pulled.delivery.reject)

    async def _run_unclaimed(self) -> None:
        for pulled in list(self._waiting):
            if self._begin_unclaimed(pulled):
                del self._waiting[pulled]
                continue
            self._drop(pulled)
            self._state.slots.give_back(pulled.handler.type.kind)
            self._state.metrics.not_run("too-long")
            await settle(pulled.delivery.reject)

    def _drop(self, pulled: Pulled) -> None:
        del self._waiting[pulled]
        self._state.leases.in_hand.discard(pulled.grant)


def _end_of(delivery: Delivery, word: ClaimVerdict) -> Callable[[], Awaitable[None]]:
    """What the broker is told of a message after its claim."""
    if word is ClaimVerdict.PAUSED:
        return delivery.requeue
    return delivery.reject if word in USELESS else delivery.ack


async def settle(word: Callable[[], Awaitable[None]]) -> None:
    """Say the word to the broker; where the line is lost it has the message back anyway."""
    with suppress(HermesError):
        await word()
