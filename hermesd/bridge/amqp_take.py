"""Taking messages from queues: one at a time, or as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast

import trio
from pamqp import commands

from hermesd.bridge.amqp_channel import AmqpChannel, Answer, Content, Unasked
from hermesd.bridge.amqp_errors import time_limit
from hermesd.bridge.amqp_frames import ack_frame, check_queue_name, checked_request, nack_frame
from hermesd.bridge.amqp_link import AmqpLink
from hermesd.bridge.amqp_wire import LineTerms, Wire
from hermesd.core.errors import HermesError, Unavailable
from hermesd.ports import Delivery

MAX_PREFETCH: Final = 65_535


class ChannelDelivery:
    """See ports.Delivery; only the first of ack, requeue and reject counts."""

    __slots__ = ("_channel", "_content", "_queue", "_settled", "_tag")

    def __init__(self, channel: AmqpChannel, queue: str, content: Content) -> None:
        self._channel = channel
        self._queue = queue
        self._content = content
        self._tag = _tag(content)
        self._settled = False

    @property
    def queue(self) -> str:
        """See Delivery.queue."""
        return self._queue

    @property
    def body(self) -> bytes:
        """See Delivery.body."""
        return self._content.body

    @property
    def headers(self) -> Mapping[str, object]:
        """See Delivery.headers."""
        return self._content.properties.headers or {}

    @property
    def redelivered(self) -> bool:
        """See Delivery.redelivered."""
        return bool(cast(commands.Basic.Deliver, self._content.method).redelivered)

    async def ack(self) -> None:
        """See Delivery.ack."""
        await self._settle(ack_frame(self._channel.number, self._tag))

    async def requeue(self) -> None:
        """See Delivery.requeue."""
        await self._settle(nack_frame(self._channel.number, self._tag, requeue=True))

    async def reject(self) -> None:
        """See Delivery.reject."""
        await self._settle(nack_frame(self._channel.number, self._tag, requeue=False))

    async def _settle(self, frame: bytes) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._settled:
            self._channel.send(frame)
            self._settled = True


class Getter:
    """Takes single messages over a few channels, each of which serves one call after the other."""

    def __init__(self, wire: Wire, terms: LineTerms) -> None:
        self._wire = wire
        self._terms = terms
        self._channels: list[AmqpChannel] = []

    async def get(self, queue: str) -> Delivery | None:
        """See ports.Broker.get; a queue that does not exist is Unavailable.

        The answer to a call that was given up on is given back to the queue when it comes.
        """
        check_queue_name(queue)
        request = checked_request(partial(commands.Basic.Get, queue=queue))
        await trio.lowlevel.checkpoint()  # so that who asks in vain lets others run
        channel = self._least_busy(self._wire.link())
        with time_limit(self._wire.where, self._terms.call_timeout_seconds):
            answer = await channel.call(request, late=partial(_give_back, channel))
        return ChannelDelivery(channel, queue, answer) if isinstance(answer, Content) else None

    def _least_busy(self, link: AmqpLink) -> AmqpChannel:
        self._channels = [channel for channel in self._channels if channel.error is None]
        idle = [channel for channel in self._channels if not channel.unanswered]
        if idle:
            return idle[0]
        if len(self._channels) < self._terms.get_channels:
            self._channels.append(AmqpChannel(link))
            return self._channels[-1]
        return min(self._channels, key=lambda channel: channel.unanswered)


def _give_back(channel: AmqpChannel, answer: Answer) -> None:
    if isinstance(answer, Content) and channel.error is None:
        channel.send(nack_frame(channel.number, _tag(answer), requeue=True))


def _tag(content: Content) -> int:
    return cast(commands.Basic.Deliver, content.method).delivery_tag or 0


@asynccontextmanager
async def consuming(
    wire: Wire, queue: str, prefetch: int, timeout_seconds: float
) -> AsyncIterator[AsyncIterator[Delivery]]:
    """See ports.Broker.consume; entering has `timeout_seconds`."""
    check_queue_name(queue)
    prefetch = min(max(prefetch, 1), MAX_PREFETCH)
    consume = checked_request(partial(commands.Basic.Consume, queue=queue))
    await trio.lowlevel.checkpoint()  # so that who asks in vain lets others run
    channel = _ConsumeChannel(wire.link(), queue, prefetch)
    try:
        with time_limit(wire.where, timeout_seconds):
            await channel.call(commands.Basic.Qos(prefetch_count=prefetch))
            await channel.call(consume)
        yield channel.deliveries()
    finally:
        channel.close()


class _ConsumeChannel(AmqpChannel):
    """A channel with one consumer."""

    def __init__(self, link: AmqpLink, queue: str, prefetch: int) -> None:
        super().__init__(link)
        self._queue = queue
        self._sink, self._source = trio.open_memory_channel[Delivery](prefetch)

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """As they come; Unavailable when no more can come, and then what is left is void."""
        async for delivery in self._source:
            if self.error is not None:
                break
            yield delivery
        raise self.error or Unavailable(f"{self.where}: {self._queue} is not consumed any more")

    def _arrived(self, unasked: Unasked) -> None:
        if isinstance(unasked, Content):
            self._sink.send_nowait(ChannelDelivery(self, self._queue, unasked))
        elif isinstance(unasked, commands.Basic.Cancel):
            # Its queue was deleted or has lost its leader. What was handed out is void, too.
            self.close(Unavailable(f"{self.where}: the broker ended consuming {self._queue}"))

    def _ended(self, error: HermesError) -> None:
        self._sink.close()
