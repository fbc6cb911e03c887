"""Taking many messages at once: consuming until so many have come, or no more come for a moment.

A get costs the broker as much as a hundred deliveries, since each is agreed on and written down by
itself. And what is consumed without an end brings more than was wanted as soon as something is
acknowledged. Here nothing is acknowledged before the end of its round, and the prefetch is what was
wanted.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio
from pamqp import commands

from hermesd.bridge.amqp_channel import Content, Unasked
from hermesd.bridge.amqp_errors import time_limit
from hermesd.bridge.amqp_frames import check_queue_name, checked_request
from hermesd.bridge.amqp_link import AmqpLink
from hermesd.bridge.amqp_take import ChannelDelivery, TakingChannel
from hermesd.bridge.amqp_wire import LineTerms, Wire
from hermesd.ports import Delivery

MAX_MESSAGES: Final = 65_535  # what a prefetch can be
# After the broker has begun to deliver: what is there comes at once, one message after the other.
QUIET_SECONDS: Final = 0.02


class Rounds:
    """Takes messages over a channel for each queue, which serves one round after the other.

    The broker's word that a queue is absent costs the channel, with all that was handed out on it.
    """

    def __init__(self, wire: Wire, terms: LineTerms) -> None:
        self._wire = wire
        self._terms = terms
        self._channels: dict[str, _RoundChannel] = {}

    async def take(self, queue: str, most: int) -> Sequence[Delivery]:
        """See ports.Broker.take; a queue that does not exist is Unavailable.

        What came to a call that was given up on is given back to the queue.
        """
        check_queue_name(queue)
        await trio.lowlevel.checkpoint()  # so that who asks in vain lets others run
        with time_limit(self._wire.where, self._terms.call_timeout_seconds):
            channel = self._channel(queue)
            async with channel.one_round:
                return await channel.take(queue, min(most, MAX_MESSAGES))

    def _channel(self, queue: str) -> _RoundChannel:
        channel = self._channels.get(queue)
        if channel is None or channel.error is not None:
            channel = self._channels[queue] = _RoundChannel(self._wire.link())
        return channel


class _Round:
    """What comes to one consumer, at most so many messages."""

    def __init__(self, tag: str, queue: str, most: int) -> None:
        self.tag = tag
        self.queue = queue
        self.most = most
        self.got: list[ChannelDelivery] = []
        self.full = trio.Event()


class _RoundChannel(TakingChannel):
    """A channel with one consumer after the other."""

    def __init__(self, link: AmqpLink) -> None:
        super().__init__(link)
        self.one_round = trio.Lock()
        self._numbers = itertools.count()
        self._round: _Round | None = None

    async def take(self, queue: str, most: int) -> Sequence[Delivery]:
        """One round."""
        self._round = turn = _Round(str(next(self._numbers)), queue, most)
        consume = partial(commands.Basic.Consume, queue=queue, consumer_tag=turn.tag)
        try:
            self._ask(commands.Basic.Qos(prefetch_count=most))
            await self.call(checked_request(consume), late=lambda _: self._end(turn))
            await self._fill(turn)
        except BaseException:
            if self.error is None:
                for delivery in turn.got:
                    delivery.give_back(requeue=True)
            raise
        finally:
            self._round = None
        return turn.got

    async def _fill(self, turn: _Round) -> None:
        """Wait until all have come that are to be expected, and end it."""
        try:
            before = -1
            while not turn.full.is_set() and before < len(turn.got):
                before = len(turn.got)
                with trio.move_on_after(QUIET_SECONDS):
                    await turn.full.wait()
        except trio.Cancelled:
            self._end(turn)
            raise
        if turn.full.is_set():
            self._end(turn)
        else:
            await self.call(commands.Basic.Cancel(turn.tag))  # what comes until then counts

    def _end(self, turn: _Round) -> None:
        """Nothing more is wanted. RabbitMQ (3.10) breaks down if it has not confirmed it before."""
        if self.error is None:
            self._ask(commands.Basic.Cancel(turn.tag))

    def _arrived(self, unasked: Unasked) -> None:
        turn = self._round
        if isinstance(unasked, Content):
            if turn is None or unasked.method.consumer != turn.tag:
                self.nack(unasked.method.tag, requeue=True)
                return
            turn.got.append(self.delivery(turn.queue, unasked))
            if len(turn.got) >= turn.most:
                turn.full.set()
