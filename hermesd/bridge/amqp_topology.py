"""What exists in a broker: asked, and declared where it is absent."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, cast

import trio
from pamqp import commands
from pamqp.base import Frame
from pamqp.common import FieldTable

from hermesd.bridge.amqp_channel import AmqpChannel, Answer
from hermesd.bridge.amqp_errors import (
    NOT_FOUND,
    PRECONDITION_FAILED,
    RESOURCE_LOCKED,
    ClosedByBroker,
    time_limit,
)
from hermesd.bridge.amqp_frames import check_queue_name, checked_request
from hermesd.bridge.amqp_link import AmqpLink
from hermesd.core.broker import BrokerQueue, Exchange, Found, Presence, QueueFacts, Topology

# RabbitMQ's words, as of 3.8 to 4.x
_DIFFERENCE: Final = re.compile(
    r"inequivalent arg '(?P<name>[^']*)' for .*: received (?P<want>.*) but current is (?P<have>.*)"
)
_VALUE: Final = re.compile(r"(?:the value )?'(?P<value>[^']*)'(?: of type '[^']*')?")


class Declarer:
    """Asks and declares on one channel, one call after the other.

    An answer that the broker gives by closing the channel costs that channel only, and the next
    call has a new one. `link` gives the connection or raises.
    """

    def __init__(self, link: Callable[[], AmqpLink], timeout_seconds: float) -> None:
        self._link = link
        self._timeout_seconds = timeout_seconds
        self._channel: AmqpChannel | None = None
        self._one_call = trio.Lock()

    async def depth(self, queue: str) -> QueueFacts | None:
        """See ports.Broker.depth."""
        check_queue_name(queue)
        answer = await self._unless_absent(
            checked_request(partial(commands.Queue.Declare, queue=queue, passive=True))
        )
        if answer is None:
            return None
        declared = cast(commands.Queue.DeclareOk, answer)
        return QueueFacts(
            messages=declared.message_count or 0, consumers=declared.consumer_count or 0
        )

    async def declare(self, topology: Topology) -> Sequence[Found]:
        """See ports.Broker.declare.

        Exchanges and queues are reported; bindings are made without a word, since AMQP does not
        tell whether they were there.
        """
        found = await self._look_at(topology, create=True)
        for binding in topology.bindings:
            bind = partial(
                commands.Queue.Bind,
                queue=binding.queue,
                exchange=binding.exchange,
                routing_key=binding.routing_key,
            )
            await self._call(checked_request(bind))
        return found

    async def inspect(self, topology: Topology) -> Sequence[Found]:
        """See ports.Broker.inspect; of exchanges and queues, since AMQP cannot ask for bindings.

        What is deleted by others in the very moment between two questions may be created again.
        """
        return await self._look_at(topology, create=False)

    async def round_trip(self) -> None:
        """Return when the broker has answered one small frame."""
        await self._call(commands.Basic.Qos(prefetch_count=1))

    async def _look_at(self, topology: Topology, *, create: bool) -> Sequence[Found]:
        found: list[Found] = []
        for exchange in topology.exchanges:
            presence, detail = await self._presence(partial(_exchange, exchange), create=create)
            found.append(
                Found(what="exchange", name=exchange.name, presence=presence, detail=detail)
            )
        for queue in topology.queues:
            presence, detail = await self._presence(partial(_queue, queue), create=create)
            found.append(Found(what="queue", name=queue.name, presence=presence, detail=detail))
        return found

    async def _presence(
        self, request: Callable[[bool], Frame], *, create: bool
    ) -> tuple[Presence, str]:
        """Asked first, so that nothing is created unless wanted, and then declared to compare."""
        try:
            present = await self._unless_absent(request(True))
            if present is None and not create:
                return Presence.ABSENT, ""
            await self._call(request(False))
        except ClosedByBroker as error:
            if error.code not in (PRECONDITION_FAILED, RESOURCE_LOCKED):
                raise
            return Presence.DIFFERENT, difference(error.text)
        return (Presence.CREATED if present is None else Presence.SAME), ""

    async def _unless_absent(self, request: Frame) -> Answer | None:
        try:
            return await self._call(request)
        except ClosedByBroker as error:
            if error.code != NOT_FOUND:
                raise
            return None

    async def _call(self, request: Frame) -> Answer:
        await trio.lowlevel.checkpoint()  # so that who asks in vain lets others run
        link = self._link()
        with time_limit(link.where, self._timeout_seconds):
            async with self._one_call:
                channel = self._channel
                if channel is None or channel.error is not None:
                    channel = self._channel = AmqpChannel(link)
                try:
                    return await channel.call(request)
                except trio.Cancelled:
                    channel.close()  # its answer may be an error, which would hit the next call
                    raise


def difference(text: str) -> str:
    """What differs, from the broker's words; the words themselves where they are others."""
    match = _DIFFERENCE.search(text)
    if match is None:
        return text
    have, want = (_VALUE.sub(r"\g<value>", match[side]) for side in ("have", "want"))
    return f"{match['name']}: have {have}, want {want}"


def _exchange(exchange: Exchange, passive: bool) -> Frame:
    arguments = cast(FieldTable, dict(exchange.arguments))
    return checked_request(
        partial(
            commands.Exchange.Declare,
            exchange=exchange.name,
            exchange_type=exchange.kind,
            durable=True,
            passive=passive,
            arguments=arguments,
        )
    )


def _queue(queue: BrokerQueue, passive: bool) -> Frame:
    check_queue_name(queue.name)
    arguments = cast(FieldTable, dict(queue.arguments))
    return checked_request(
        partial(
            commands.Queue.Declare,
            queue=queue.name,
            durable=True,
            passive=passive,
            arguments=arguments,
        )
    )
