"""One worker's dispatch path: batches out, answers in, and the breaker between.

One POST is under way at a time and carries all jobs that piled up meanwhile; an idle path sends
at once. An unanswered batch is repeated under its number; before any of it is given elsewhere the
worker is fenced for it in a heartbeat answer and says what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog
import trio

from hermesd.api.acceptance import Sending, Waiter
from hermesd.api.path import DispatchPath, Fate, Try
from hermesd.core.fleet import Acceptance, DispatchAnswer, DispatchBatch, item_of
from hermesd.core.job import Token
from hermesd.core.registry import Held, WorkerView
from hermesd.ports import Clock
from hermesd.signal import Signal

MAX_BATCH_JOBS = 1000
MAX_BATCH_BYTES = 4 * 1024 * 1024
ITEM_OVERHEAD_BYTES = 1024  # the fields of an item beside its payload, generously


class DispatchHooks(Protocol):
    """What a dispatcher tells the rest of the api."""

    async def refused(self, view: WorkerView, sendings: Sequence[Sending], reason: str) -> None:
        """These are surely not with the worker: give them elsewhere."""

    def dead(self, view: WorkerView, evidence: str) -> None:
        """The process behind this incarnation is proven dead."""

    def routable(self, view: WorkerView) -> None:
        """The path works (again)."""

    def unroutable(self, view: WorkerView, reason: str) -> None:
        """The path does not work."""

    def poke(self, view: WorkerView) -> None:
        """Ask the worker for a heartbeat now."""

    def dispatched(self, view: WorkerView, jobs: int, seconds: float) -> None:
        """A batch was answered."""


class DispatchTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends (the api's lasting name, this life of it, the store), and limits in seconds."""

    api_name: str
    api_boot: str
    store_id: str
    answer_seconds: float = 1.0
    probe_seconds: float = 2.0
    refusal_seconds: float = 0.5


class Dispatcher:
    """The agent of one worker's dispatch path; `run` ends only by cancellation."""

    def __init__(
        self,
        view: WorkerView,
        terms: DispatchTerms,
        clock: Clock,
        hooks: DispatchHooks,
        log: structlog.typing.FilteringBoundLogger,
    ):
        self.view = view
        self.stream_open = False
        self._terms = terms
        self._clock = clock
        self._hooks = hooks
        self._log = log.bind(worker_id=view.worker_id, address=view.address)
        self._path = DispatchPath(view.address, view.incarnation)
        self._outbox: list[Sending] = []
        self._wake = Signal()
        self._listed: frozenset[Token] | None = None
        self._first_refusal: float | None = None
        self._idle = trio.Event()
        self._idle.set()

    def send(self, held: Held, waiter: Waiter | None) -> None:
        """Put a committed assignment into the next batch."""
        self._outbox.append(Sending(held, waiter))
        if self._idle.is_set():
            self._idle = trio.Event()
        self._wake.set()

    def fenced(self, batch: int, held: frozenset[Token]) -> None:
        """The worker has obeyed a fence up to `batch` and holds these leases."""
        if 0 < self.view.fence_batch <= batch:
            self._listed = held
            self._wake.set()

    async def idle(self) -> None:
        """Return when nothing waits to be sent and no batch is under way."""
        await self._idle.wait()

    def suspect(self, reason: str) -> None:
        """Something hints at death: probe before anything else is sent."""
        self._trip(reason)
        self.view.breaker.probe_at = self._clock.monotonic()
        self._wake.set()

    async def run(self) -> None:
        """Probe while the breaker is open, send while it is closed."""
        try:
            while True:
                if not self.view.breaker.closed:
                    await self._give_up_outbox()
                    await self._probe()
                elif batch := self._next_batch():
                    await self._send(batch)
                else:
                    self._idle.set()
                    await self._wake.wait()
        finally:
            with trio.CancelScope(shield=True):
                await self._path.aclose()

    def _next_batch(self) -> list[Sending]:
        """The first of the outbox, less what was settled or taken over while it waited there."""
        size = taken = 0
        batch: list[Sending] = []
        for sending in self._outbox:
            held = sending.held
            if self.view.held.get(held.job.id) is held:
                size += len(held.job.payload) + ITEM_OVERHEAD_BYTES
                if batch and (size > MAX_BATCH_BYTES or len(batch) >= MAX_BATCH_JOBS):
                    break
                batch.append(sending)
            else:
                self.view.free_unsent(held)
            taken += 1
        del self._outbox[:taken]
        return batch

    async def _send(self, batch: list[Sending]) -> None:
        number = self.view.number_batch([sending.held for sending in batch])
        body = self._path.encode(
            DispatchBatch(
                api_name=self._terms.api_name,
                api_boot=self._terms.api_boot,
                store_id=self._terms.store_id,
                incarnation=self.view.incarnation,
                number=number,
                jobs=tuple(item_of(sending.held.job) for sending in batch),
            )
        )
        tried = await self._offer(number, len(batch), body)
        if tried.answer is not None:
            await self._answered(batch, tried.answer)
        elif tried.fate in (Fate.NOT_TAKEN, Fate.ANOTHER):
            self.view.forget_batch(number)
            await self._refused(batch, tried.reason)
        else:
            await self._resolve(number, body, batch, tried)

    async def _offer(self, number: int, jobs: int, body: bytes) -> Try:
        """One try, with what it says of the path (not of the batch) taken in."""
        started = self._clock.monotonic()
        tried = await self._path.dispatch(body, self._terms.answer_seconds)
        answer = tried.answer
        if answer is not None and (answer.number, len(answer.items)) != (number, jobs):
            tried = Try(Fate.UNKNOWN, reason="the answer is not about this batch")
        if tried.answer is not None:
            if not self.view.breaker.closed:
                self._close_breaker()
            seconds = self._clock.monotonic() - started
            self._hooks.dispatched(self.view, len(tried.answer.items), seconds)
            return tried
        self._trip(tried.reason)
        if tried.refused:
            self._refusal()
        if tried.fate is Fate.ANOTHER:
            self._hooks.dead(self.view, tried.reason)
        return tried

    async def _resolve(self, number: int, body: bytes, batch: list[Sending], tried: Try) -> None:
        """Repeat an unanswered batch until it is answered, or the worker says what it holds."""
        for sending in batch:
            if sending.waiter:
                sending.waiter.queued("committed; the worker has not answered yet")
        self._log.warning("dispatch unanswered", batch=number, jobs=len(batch), why=tried.reason)
        self._listed = None
        self.view.fence_batch = number
        self.view.breaker.probe_at = self._clock.monotonic()
        self._hooks.poke(self.view)
        while self._listed is None:
            await self._give_up_outbox()
            if await self._wake.wait(self.view.breaker.probe_at - self._clock.monotonic()):
                continue
            tried = await self._offer(number, len(batch), body)
            if tried.answer is not None:
                self.view.fence_batch = 0
                return await self._answered(batch, tried.answer)
        self.view.fence_batch = 0
        self.view.forget_batch(number)
        missing = [s for s in batch if not self._is_held(s, self._listed)]
        if missing:
            await self._refused(missing, "the worker never got it")
        return None

    async def _refused(self, sendings: Sequence[Sending], reason: str) -> None:
        """The worker surely did not begin these, whatever becomes of it."""
        for sending in sendings:
            sending.held.batch = 0
        await self._hooks.refused(self.view, sendings, reason)

    def _is_held(self, sending: Sending, listed: frozenset[Token]) -> bool:
        """Whether a job of a fenced batch is with the worker, or was and has been settled."""
        if sending.held.job.token in listed:
            self._accepted(sending, self.view.heartbeat_number)
            return True
        return self.view.held.get(sending.held.job.id) is not sending.held

    async def _answered(self, batch: list[Sending], answer: DispatchAnswer) -> None:
        self.view.apply_view(answer.view)
        refused: list[Sending] = []
        words: set[str] = set()
        for sending, word in zip(batch, answer.items, strict=True):
            if word is Acceptance.ACCEPTED:
                self._accepted(sending, answer.heartbeat)
                continue
            refused.append(sending)
            words.add(word)
            if word is Acceptance.DRAINING:
                self.view.draining = True
            elif word is Acceptance.UNKNOWN_TYPE:
                self.view.forget_type(sending.held.job.type)
            else:
                self.view.exhausted(sending.held.kind)
        if refused:
            await self._refused(refused, f"the worker says: {', '.join(sorted(words))}")

    def _accepted(self, sending: Sending, number: int) -> None:
        sending.held.accepted_number = number
        if sending.waiter:
            sending.waiter.accepted(self.view.worker_id)

    async def _give_up_outbox(self) -> None:
        outbox, self._outbox = self._outbox, []
        if outbox:
            for sending in outbox:
                self.view.free_unsent(sending.held)
            await self._hooks.refused(self.view, outbox, self.view.breaker.reason)

    async def _probe(self) -> None:
        """Wait for the next probe's time, then ask who is there."""
        if not self._outbox:
            self._idle.set()
        breaker = self.view.breaker
        if await self._wake.wait(breaker.probe_at - self._clock.monotonic()):
            return
        breaker.probing()
        tried = await self._path.probe(self._terms.probe_seconds)
        if tried.fate is Fate.ANSWERED:
            self._close_breaker()
            return
        self._trip(tried.reason)
        if tried.refused:
            self._refusal()
        if tried.fate is Fate.ANOTHER:
            self._hooks.dead(self.view, tried.reason)

    def _close_breaker(self) -> None:
        self._first_refusal = None
        self.view.breaker.reset()
        self._hooks.routable(self.view)

    def _trip(self, reason: str) -> None:
        if self.view.breaker.trip(self._clock.monotonic(), reason):
            self._hooks.unroutable(self.view, reason)

    def _refusal(self) -> None:
        """Two refusals apart, with no word from the worker between, prove that it is dead."""
        now = self._clock.monotonic()
        first = self._first_refusal
        if first is None or self.view.last_message > first:
            self._first_refusal = now
            again = now + self._terms.refusal_seconds
            self.view.breaker.probe_at = min(self.view.breaker.probe_at, again)
        elif now - first >= self._terms.refusal_seconds * 0.9 and not self.stream_open:
            self._hooks.dead(self.view, "its control stream is closed and its address refuses")
