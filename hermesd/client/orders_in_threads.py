"""The methods of a client about workers and queues, for threads and scripts."""

from __future__ import annotations

from typing import Protocol, TypeVar, Unpack

from hermesd.client import orders
from hermesd.client.calls import Call
from hermesd.client.orders import DrainForecast, OrderAnswer, QueueList, QueueView, Said, Which

A = TypeVar("A")


class Calls(Protocol):
    """Who makes calls."""

    def call(self, call: Call[A]) -> A:
        """The answer."""


class OrdersInThreads:
    """Mixed into Client."""

    def pause_worker(self: Calls, worker_id: str, **said: Unpack[Said]) -> OrderAnswer:
        """It takes no new jobs until it is resumed; what it runs goes on."""
        return self.call(orders.order_worker("pause", worker_id, said))

    def resume_worker(self: Calls, worker_id: str, **said: Unpack[Said]) -> OrderAnswer:
        """A paused one takes jobs again."""
        return self.call(orders.order_worker("resume", worker_id, said))

    def drain_worker(
        self: Calls, worker_id: str, *, at_once: bool = False, **said: Unpack[Said]
    ) -> OrderAnswer:
        """It ends its jobs and then its process; `at_once`: it gives them back instead."""
        return self.call(orders.order_worker("drain", worker_id, said, at_once=at_once))

    def order_workers(
        self: Calls,
        kind: str,
        which: Which,
        *,
        at_once: bool = False,
        **said: Unpack[Said],
    ) -> OrderAnswer:
        """The same for many: `kind` is pause, resume or drain."""
        return self.call(orders.order_workers(kind, which, said, at_once=at_once))

    def drain_forecast(self: Calls, worker_id: str) -> DrainForecast:
        """Which of its jobs a drain would let end, and which it would hand on."""
        return self.call(orders.drain_forecast(worker_id))

    def queues(self: Calls) -> QueueList:
        """All queues, by name."""
        return self.call(orders.queues())

    def queue(self: Calls, name: str) -> QueueView:
        """One queue."""
        return self.call(orders.queue(name)).queue

    def pause_queue(self: Calls, name: str, **said: Unpack[Said]) -> QueueView:
        """None of its jobs is started until it is resumed; they are still accepted."""
        return self.call(orders.order_queue("pause", name, said)).queue

    def resume_queue(self: Calls, name: str, **said: Unpack[Said]) -> QueueView:
        """Its jobs are started again."""
        return self.call(orders.order_queue("resume", name, said)).queue
