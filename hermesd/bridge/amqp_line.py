"""A line to a message broker, as the roles see it: ports.Broker over two connections.

One publishes and one takes, since a broker in need of memory or disk reads nothing any more from
connections that publish: over the other one the queues are still emptied, and it recovers.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.bridge.amqp_consume import consuming
from hermesd.bridge.amqp_publish import Publisher
from hermesd.bridge.amqp_rounds import Rounds
from hermesd.bridge.amqp_take import Getter
from hermesd.bridge.amqp_topology import Declarer
from hermesd.bridge.amqp_wire import LineTerms, Wire
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.broker import Found, LineStatus, Message, PublishFate, QueueFacts, Topology
from hermesd.ports import Delivery

__all__ = ["BrokerLine", "LineTerms", "open_broker_line"]


@asynccontextmanager
async def open_broker_line(
    url: str,
    terms: LineTerms,
    *,
    log: FilteringBoundLogger,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[BrokerLine]:
    """A line to the broker at `url`; InvalidValue where that is none (see AmqpUrl).

    Must be opened inside `open_bridge()`. It waits for nothing: `status` and `changed` tell when
    the broker is there. Leaving closes the connections, within the time limit of a call.
    """
    address = AmqpUrl.parse(url)
    publishing, taking = (
        Wire(purpose, address, terms, ssl_context, log) for purpose in ("publish", "take")
    )
    line = BrokerLine(publishing, taking, terms)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publishing.run)
        nursery.start_soon(taking.run)
        yield line
        nursery.cancel_scope.cancel()


class BrokerLine:
    """See ports.Broker."""

    def __init__(self, publishing: Wire, taking: Wire, terms: LineTerms) -> None:
        self._publishing = publishing
        self._taking = taking
        self._timeout_seconds = terms.call_timeout_seconds
        self._publisher = Publisher(publishing, terms)
        self._getter = Getter(taking, terms)
        self._rounds = Rounds(taking, terms)
        self._declarer = Declarer(taking.link, terms.call_timeout_seconds)
        self._changed = trio.Event()
        publishing.told = taking.told = self._tell

    @property
    def status(self) -> LineStatus:
        """See Broker.status; connected while both connections are."""
        publishing, taking = self._publishing.status, self._taking.status
        if publishing.connected and taking.connected:
            return publishing if publishing.blocked or publishing.since > taking.since else taking
        return taking if publishing.connected else publishing

    async def changed(self) -> None:
        """See Broker.changed: no change is missed by `while line.status == seen: await ...`."""
        await self._changed.wait()

    async def publish(self, messages: Sequence[Message]) -> Sequence[PublishFate]:
        """See Broker.publish, and Publisher.publish."""
        return await self._publisher.publish(messages)

    async def get(self, queue: str) -> Delivery | None:
        """See Broker.get."""
        return await self._getter.get(queue)

    async def take(self, queue: str, most: int) -> Sequence[Delivery]:
        """See Broker.take."""
        return await self._rounds.take(queue, most)

    def consume(
        self, queue: str, prefetch: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """See Broker.consume."""
        return consuming(self._taking, queue, prefetch, self._timeout_seconds)

    async def depth(self, queue: str) -> QueueFacts | None:
        """See Broker.depth."""
        return await self._declarer.depth(queue)

    async def declare(self, topology: Topology) -> Sequence[Found]:
        """See Broker.declare."""
        return await self._declarer.declare(topology)

    async def inspect(self, topology: Topology) -> Sequence[Found]:
        """See Broker.inspect."""
        return await self._declarer.inspect(topology)

    def renew_login(self, url: str) -> None:
        """Log in by `url` from the next connection on; it leads to the same broker."""
        self._publishing.address = self._taking.address = AmqpUrl.parse(url)

    def _tell(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
