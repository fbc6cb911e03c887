"""Keeps what `hermesd top` knows up to date: the stream of summaries, and what is polled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import trio

from hermesd.cli.top_known import LIVE, SHOWN_JOBS, Known
from hermesd.cli.top_summary import Summary, summaries
from hermesd.cli.top_view import Order
from hermesd.client import ApiError, AsyncClient, ClientError, ConnectionFailed, Said, calls, orders

POLL_SECONDS: Final = 2.0
LEAST_PAUSE_SECONDS: Final = 0.5  # between two questions of a kind, whatever happens
RECONNECT_SECONDS: Final = 2.0
NO_STREAM_SECONDS: Final = 60.0  # an api without summaries may be replaced by one that has them
TIMEOUT_SECONDS: Final = 5.0


class Bell:
    """Wakes whoever waits; rung while nobody does, it wakes the next one at once."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Something is new."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Until it rings, or so long."""
        with trio.move_on_after(seconds):
            await self._rung.wait()
        self._rung = trio.Event()


class Feed:
    """Asks the api, and writes into `known`; rings `news` whenever that has changed."""

    def __init__(self, client: AsyncClient, known: Known, news: Bell) -> None:
        self._client = client
        self._known = known
        self._news = news
        self._bells: list[Bell] = []
        self._opened: str | None = None
        self._seen: dict[str, int] = {}

    async def run(self) -> None:
        """Never returns, and raises no fault of the api: they are in `known`."""
        questions = (
            ("workers", self._workers),
            ("queues", self._queues),
            ("jobs", self._jobs),
            ("failures", self._failures),
            ("stats", self._stats),
            ("job", self._job),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            for question, ask in questions:
                bell = Bell()
                self._bells.append(bell)
                nursery.start_soon(self._poll, question, ask, bell)

    def open(self, job_id: str | None) -> None:
        """Ask for this job too, until another one or None is opened."""
        if job_id != self._opened:
            self._opened = job_id
            self._known.faults.pop("job", None)
            self._ask_again()

    async def carry_out(self, order: Order, said: Said) -> str:
        """Does what was ordered; what to tell of it, a refusal too."""
        try:
            told = await self._order(order, said)
        except ClientError as fault:
            return f"{order.text}: {fault.detail or fault}"
        self._ask_again()
        return f"{order.text}: {told}"

    async def _order(self, order: Order, said: Said) -> str:
        if order.kind == "worker":
            worker = await self._client.call(orders.order_worker(order.verb, order.key, said))
            return "done" if worker.taken else "recorded, the worker has not confirmed it yet"
        if order.kind == "queue":
            await self._client.call(orders.order_queue(order.verb, order.key, said))
            return "done"
        act = calls.cancel if order.verb == "cancel" else calls.retry
        job = (await self._client.call(act(order.key))).job
        return "asked to end" if job.cancel_requested and not job.state.terminal else str(job.state)

    def _ask_again(self) -> None:
        for bell in self._bells:
            bell.ring()

    async def _poll(self, question: str, ask: Callable[[], Awaitable[None]], bell: Bell) -> None:
        while True:
            await self._attempt(question, ask)
            await trio.sleep(LEAST_PAUSE_SECONDS)
            await bell.wait(POLL_SECONDS - LEAST_PAUSE_SECONDS)

    async def _attempt(self, question: str, ask: Callable[[], Awaitable[Any]]) -> None:
        try:
            await ask()
        except ConnectionFailed:
            self._known.unanswered()
        except ClientError as fault:
            self._known.refused(question, fault.detail or str(fault), _now())
        self._news.ring()

    async def _workers(self) -> None:
        self._known.take_workers(await self._client.workers())
        self._known.answered("workers", _now())

    async def _queues(self) -> None:
        self._known.take_queues(await self._client.queues())
        self._known.answered("queues", _now())

    async def _jobs(self) -> None:
        self._known.jobs = (await self._client.jobs(state=LIVE, limit=SHOWN_JOBS)).jobs
        self._known.answered("jobs", _now())

    async def _failures(self) -> None:
        page = await self._client.call(calls.dlq({}, limit=SHOWN_JOBS))
        self._known.failures = page.jobs
        self._known.answered("failures", _now())

    async def _stats(self) -> None:
        self._known.stats = await self._client.stats()
        self._known.answered("stats", _now())

    async def _job(self) -> None:
        job_id = self._opened
        if job_id is None:
            return
        job = await self._client.job(job_id)
        history = (await self._client.events(job_id)).events
        self._known.opened, self._known.history = job, history
        self._known.answered("job", _now())

    async def _follow(self) -> None:
        """Summaries while the api gives them; without them `stats` has to do."""
        while True:
            pause = RECONNECT_SECONDS
            try:
                async with summaries(self._known.url, TIMEOUT_SECONDS) as stream:
                    async for summary in stream:
                        self._take(summary)
            except ApiError as fault:
                pause = NO_STREAM_SECONDS if fault.status == 404 else RECONNECT_SECONDS
            except ConnectionFailed:
                self._known.unanswered()
            except ClientError as fault:
                self._known.refused("summaries", fault.detail, _now())
            self._known.summary = None
            self._news.ring()
            await trio.sleep(pause)

    def _take(self, summary: Summary) -> None:
        self._known.summary = summary
        self._known.answered("summaries", _now())
        if summary.notable or summary.changes != self._seen:
            self._seen = summary.changes
            self._ask_again()
        self._news.ring()


def _now() -> datetime:
    return datetime.now(UTC)
