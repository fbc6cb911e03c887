"""Batches posted on one worker's dispatch path, and what each try tells of the path taken in."""

from __future__ import annotations

import msgspec

from hermesd.api.acceptance import Sending
from hermesd.api.path import DispatchPath, Fate, Try
from hermesd.api.standing import PathHooks, Standing
from hermesd.core.fleet import DispatchAnswer, DispatchBatch, item_of
from hermesd.core.workerview import WorkerView
from hermesd.http.client import Asked
from hermesd.ports import Clock


class DispatchTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends (the api's lasting name, this life of it, the store), and limits in seconds."""

    api_name: str
    api_boot: str
    store_id: str
    answer_seconds: float = 1.0
    probe_seconds: float = 2.0
    refusal_seconds: float = 0.5


class Post(msgspec.Struct, eq=False):
    """A numbered batch; `asked` while it is under way, `tried` what became of it, not judged yet.

    `begun` is when it was last sent, in monotonic seconds.
    """

    number: int
    batch: list[Sending]
    body: bytes
    begun: float
    asked: Asked | None = None
    tried: Try | None = None

    def meant_by(self, answer: DispatchAnswer) -> bool:
        """Whether an answer is about this batch."""
        return answer.number == self.number and len(answer.items) == len(self.batch)


class Posting:
    """One post or probe at a time; `stream_open` is that of the worker's control stream."""

    def __init__(self, view: WorkerView, terms: DispatchTerms, clock: Clock, hooks: PathHooks):
        self.stream_open = False
        self._view = view
        self._terms = terms
        self._clock = clock
        self._hooks = hooks
        self._path = DispatchPath(view.address, view.incarnation)
        self._standing = Standing(view, clock, hooks, terms.refusal_seconds)

    @property
    def ready(self) -> bool:
        """Whether the path works and its connection is open."""
        return self._view.breaker.closed and self._path.ready

    def numbered(self, batch: list[Sending]) -> Post:
        """A post of jobs that were reserved before."""
        number = self._view.number_batch([sending.held for sending in batch])
        body = self._path.encode(
            DispatchBatch(
                api_name=self._terms.api_name,
                api_boot=self._terms.api_boot,
                store_id=self._terms.store_id,
                incarnation=self._view.incarnation,
                number=number,
                jobs=tuple(item_of(sending.held.job) for sending in batch),
            )
        )
        return Post(number, batch, body, self._clock.monotonic())

    async def post(self, post: Post) -> Try:
        """Send it, and wait for what becomes of it."""
        post.begun = self._clock.monotonic()
        tried = await self._path.dispatch(post.body, self._terms.answer_seconds)
        return self.judged(post, tried)

    def begin(self, post: Post) -> None:
        """Send it without a wait, if the path is `ready`; `hear` of it comes next."""
        post.asked = self._path.begin(post.body)

    async def hear(self, post: Post, seconds: float) -> None:
        """Wait so long for `tried`, if it has begun."""
        if post.asked is not None:
            most = min(seconds, self._terms.answer_seconds)
            post.tried = await self._path.hear(post.asked, most)

    async def see_through(self, post: Post) -> Try:
        """Wait for what becomes of a post that another task has begun, or meant to."""
        if post.asked is None:
            return await self.post(post)
        tried = post.tried
        if tried is None:
            rest = post.begun + self._terms.answer_seconds - self._clock.monotonic()
            tried = await self._path.hear(post.asked, max(rest, 0.0)) or self._path.give_up()
        return self.judged(post, tried)

    def judged(self, post: Post, tried: Try) -> Try:
        """A try, with what it says of the path (not of the batch) taken in."""
        answer = tried.answer
        if answer is not None and not post.meant_by(answer):
            answer, tried = None, Try(Fate.UNKNOWN, reason="the answer is not about this batch")
        if answer is None:
            self._standing.failed(tried, stream_open=self.stream_open)
            return tried
        if not self._view.breaker.closed:
            self._standing.reset()
        seconds = self._clock.monotonic() - post.begun
        self._hooks.dispatched(self._view, len(answer.items), seconds)
        return tried

    async def probe(self) -> None:
        """Ask who is there."""
        tried = await self._path.probe(self._terms.probe_seconds)
        if tried.fate is Fate.ANSWERED:
            self._standing.reset()
        else:
            self._standing.failed(tried, stream_open=self.stream_open)

    def trip(self, reason: str) -> None:
        """Something else speaks against the path."""
        self._standing.trip(reason)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._path.aclose()
