"""The methods of a client about workers and queues, for asyncio and trio."""

from __future__ import annotations

from typing import Protocol, TypeVar, Unpack

from hermesd.client import orders
from hermesd.client.calls import Call
from hermesd.client.orders import DrainForecast, OrderAnswer, QueueList, QueueView, Said, Which

A = TypeVar("A")


class Calls(Protocol):
    """Who makes calls."""

    async def call(self, call: Call[A]) -> A:
        """The answer."""


class OrdersInTasks:
    """Mixed into AsyncClient."""

    async def pause_worker(self: Calls, worker_id: str, **said: Unpack[Said]) -> OrderAnswer:
        """It takes no new jobs until it is resumed; what it runs goes on."""
        return await self.call(orders.order_worker("pause", worker_id, said))

    async def resume_worker(self: Calls, worker_id: str, **said: Unpack[Said]) -> OrderAnswer:
        """A paused one takes jobs again."""
        return await self.call(orders.order_worker("resume", worker_id, said))

    async def drain_worker(
        self: Calls, worker_id: str, *, at_once: bool = False, **said: Unpack[Said]
    ) -> OrderAnswer:
        """It ends its jobs and then its process; `at_once`: it gives them back instead."""
        return await self.call(orders.order_worker("drain", worker_id, said, at_once=at_once))

    async def order_workers(
        self: Calls,
        kind: str,
        which: Which,
        *,
        at_once: bool = False,
        **said: Unpack[Said],
    ) -> OrderAnswer:
        """The same for many: `kind` is pause, resume or drain."""
        return await self.call(orders.order_workers(kind, which, said, at_once=at_once))

    async def drain_forecast(self: Calls, worker_id: str) -> DrainForecast:
        """Which of its jobs a drain would let end, and which it would hand on."""
        return await self.call(orders.drain_forecast(worker_id))

    async def queues(self: Calls) -> QueueList:
        """All queues, by name."""
        return await self.call(orders.queues())

    async def queue(self: Calls, name: str) -> QueueView:
        """One queue."""
        return (await self.call(orders.queue(name))).queue

    async def pause_queue(self: Calls, name: str, **said: Unpack[Said]) -> QueueView:
        """None of its jobs is started until it is resumed; they are still accepted."""
        return (await self.call(orders.order_queue("pause", name, said))).queue

    async def resume_queue(self: Calls, name: str, **said: Unpack[Said]) -> QueueView:
        """Its jobs are started again."""
        return (await self.call(orders.order_queue("resume", name, said))).queue
