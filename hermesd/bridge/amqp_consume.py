"""Consuming: messages as they come, for who deals with all that a queue ever has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio
from pamqp import commands

from hermesd.bridge.amqp_channel import Content, Unasked
from hermesd.bridge.amqp_errors import time_limit
from hermesd.bridge.amqp_frames import check_queue_name, checked_request
from hermesd.bridge.amqp_link import AmqpLink
from hermesd.bridge.amqp_take import TakingChannel
from hermesd.bridge.amqp_wire import Wire
from hermesd.core.errors import HermesError, Unavailable
from hermesd.ports import Delivery

MAX_PREFETCH: Final = 65_535


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


class _ConsumeChannel(TakingChannel):
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
            self._sink.send_nowait(self.delivery(self._queue, unasked))
        elif isinstance(unasked, commands.Basic.Cancel):
            # Its queue was deleted or has lost its leader. What was handed out is void, too.
            self.close(Unavailable(f"{self.where}: the broker ended consuming {self._queue}"))

    def _ended(self, error: HermesError) -> None:
        self._sink.close()
