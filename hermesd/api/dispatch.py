"""One worker's dispatch path: batches out, answers in, and the breaker between.

One POST is under way at a time and carries all jobs that piled up meanwhile; an idle path sends
at once, and lends itself to a task that has a job for it. An unanswered batch is repeated under its
number; before any of it is given elsewhere the worker is fenced for it in a heartbeat answer and
says what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog
import trio

from hermesd.api.acceptance import Sending, Waiter
from hermesd.api.path import Fate, Try
from hermesd.api.posting import DispatchTerms, Post, Posting
from hermesd.api.standing import PathHooks
from hermesd.core.fleet import Acceptance, DispatchAnswer
from hermesd.core.job import Token
from hermesd.core.workerview import Held, WorkerView
from hermesd.ports import Clock
from hermesd.signal import Signal

MAX_BATCH_JOBS = 1000
MAX_BATCH_BYTES = 4 * 1024 * 1024
ITEM_OVERHEAD_BYTES = 1024  # the fields of an item beside its payload, generously


class DispatchHooks(PathHooks, Protocol):
    """What a dispatcher tells the rest of the api."""

    async def refused(self, view: WorkerView, sendings: Sequence[Sending], reason: str) -> None:
        """These are surely not with the worker: give them elsewhere."""

    def poke(self, view: WorkerView) -> None:
        """Ask the worker for a heartbeat now."""


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
        self._clock = clock
        self._hooks = hooks
        self._log = log.bind(worker_id=view.worker_id, address=view.address)
        self._path = Posting(view, terms, clock, hooks)
        self._outbox: list[Sending] = []
        self._wake = Signal()
        self._listed: frozenset[Token] | None = None
        self._resting = False  # `run` has nothing to do
        self._lent: Post | None = None  # on its way in another task
        self._left: Post | None = None  # by the other task, for `run` to go on with
        self._idle = trio.Event()
        self._idle.set()

    @property
    def stream_open(self) -> bool:
        """Whether the worker's control stream is open, so that it lives."""
        return self._path.stream_open

    @stream_open.setter
    def stream_open(self, is_open: bool) -> None:
        self._path.stream_open = is_open

    def send(self, held: Held, waiter: Waiter | None) -> None:
        """Put a committed assignment into the next batch."""
        self._outbox.append(Sending(held, waiter))
        self._go_on()

    def send_all(self, held: Iterable[Held]) -> None:
        """The same for several, for which nobody waits."""
        self._outbox += [Sending(each, None) for each in held]
        self._go_on()

    def _go_on(self) -> None:
        if self._idle.is_set():
            self._idle = trio.Event()
        self._wake.set()

    @property
    def free(self) -> bool:
        """Whether the path is open and has nothing to do, so that it can `carry` now."""
        idle = self._resting and not (self._wake.is_set or self._lent or self._left)
        return idle and self._path.ready

    async def carry(
        self, held: Held, waiter: Waiter, seconds: float, meanwhile: Callable[[], object]
    ) -> None:
        """Send a committed assignment in this task, and hear the worker's word for so long.

        Only while it is `free`. `meanwhile` is called when the job is out, before any other task
        runs. What is not plainly accepted `run` goes on with, also where this task is cancelled.
        """
        post = self._path.numbered([Sending(held, waiter)])
        self._idle = trio.Event()
        self._lent = self._left = post
        try:
            try:
                self._path.begin(post)
            finally:
                meanwhile()
            await self._path.hear(post, seconds)
            if self._accepted_whole(post):
                self._left = None
        finally:
            self._lent = None
            if self._left or self._outbox or not self._resting:
                self._wake.set()
            else:
                self._idle.set()

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
        self._path.trip(reason)
        self.view.breaker.probe_at = self._clock.monotonic()
        self._wake.set()

    async def run(self) -> None:
        """Probe while the breaker is open, send while it is closed."""
        try:
            while True:
                if self._lent:
                    await self._wake.wait()
                elif left := self._left:
                    self._left = None
                    await self._conclude(left, await self._path.see_through(left))
                elif not self.view.breaker.closed:
                    await self._give_up_outbox()
                    await self._probe()
                elif batch := self._next_batch():
                    await self._send(self._path.numbered(batch))
                else:
                    self._idle.set()
                    self._resting = True
                    await self._wake.wait()
                    self._resting = False
        finally:
            self._resting = False
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

    async def _send(self, post: Post) -> None:
        await self._conclude(post, await self._path.post(post))

    async def _conclude(self, post: Post, tried: Try) -> None:
        if tried.answer is not None:
            await self._answered(post.batch, tried.answer)
        elif tried.fate in (Fate.NOT_TAKEN, Fate.ANOTHER):
            self.view.forget_batch(post.number)
            await self._refused(post.batch, tried.reason)
        else:
            await self._resolve(post, tried)

    async def _resolve(self, post: Post, tried: Try) -> None:
        """Repeat an unanswered batch until it is answered, or the worker says what it holds."""
        number, batch = post.number, post.batch
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
            tried = await self._path.post(post)
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

    def _accepted_whole(self, post: Post) -> bool:
        """Take in that the worker has all of it; False, and nothing is done, where it has not."""
        tried = post.tried
        answer = None if tried is None else tried.answer
        if tried is None or answer is None or not post.meant_by(answer):
            return False
        if any(word is not Acceptance.ACCEPTED for word in answer.items):
            return False
        self._path.judged(post, tried)
        self._take_in(post.batch, answer)
        return True

    async def _answered(self, batch: list[Sending], answer: DispatchAnswer) -> None:
        refused, words = self._take_in(batch, answer)
        if refused:
            await self._refused(refused, f"the worker says: {', '.join(sorted(words))}")

    def _take_in(
        self, batch: list[Sending], answer: DispatchAnswer
    ) -> tuple[list[Sending], set[str]]:
        """What the worker has said; answers what it refused, and in which words."""
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
        return refused, words

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
        await self._path.probe()
