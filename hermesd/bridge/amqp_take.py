"""Taking single messages from queues, and saying what became of messages that were taken."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial

import trio
from pamqp import commands

from hermesd.bridge.amqp_channel import AmqpChannel, Answer, Content
from hermesd.bridge.amqp_errors import time_limit
from hermesd.bridge.amqp_frames import ack_frame, check_queue_name, checked_request, nack_frame
from hermesd.bridge.amqp_link import AmqpLink
from hermesd.bridge.amqp_wire import LineTerms, Wire
from hermesd.ports import Delivery


class ChannelDelivery:
    """See ports.Delivery; only the first of ack, requeue and reject counts.

    Each is said even by a task that is cancelled: nobody else would say it of this message.
    """

    __slots__ = ("_channel", "_content", "_queue", "_settled")

    def __init__(self, channel: TakingChannel, queue: str, content: Content) -> None:
        self._channel = channel
        self._queue = queue
        self._content = content
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
        return self._content.method.redelivered

    async def ack(self) -> None:
        """See Delivery.ack."""
        if not self._settled:
            self._channel.ack(self._content.method.tag)
            self._settled = True
        await trio.lowlevel.checkpoint_if_cancelled()

    async def requeue(self) -> None:
        """See Delivery.requeue."""
        self.give_back(requeue=True)
        await trio.lowlevel.checkpoint_if_cancelled()

    async def reject(self) -> None:
        """See Delivery.reject."""
        self.give_back(requeue=False)
        await trio.lowlevel.checkpoint_if_cancelled()

    def give_back(self, *, requeue: bool) -> None:
        """To its queue, or where that has its dead letters."""
        if not self._settled:
            self._channel.nack(self._content.method.tag, requeue=requeue)
            self._settled = True


class TakingChannel(AmqpChannel):
    """A channel that hands out messages; what is acknowledged at once goes in one frame.

    The broker has to remember each frame of acknowledgements, however many messages it is for.
    """

    def __init__(self, link: AmqpLink) -> None:
        super().__init__(link)
        self._handed_out: dict[int, None] = {}  # tags, the oldest first
        self._acked: set[int] = set()

    def delivery(self, queue: str, content: Content) -> ChannelDelivery:
        """The message as it is handed out."""
        self._handed_out[content.method.tag] = None
        return ChannelDelivery(self, queue, content)

    def _answer(self, answer: Answer) -> None:
        if isinstance(answer, Content):  # noted now, since callers may wake up in any order
            self._handed_out[answer.method.tag] = None
        super()._answer(answer)

    def ack(self, tag: int) -> None:
        """Acknowledge it soon, together with others."""
        if self.error is not None:
            raise self.error
        if not self._acked:
            self._link.soon(self.flush)
        self._acked.add(tag)

    def nack(self, tag: int, *, requeue: bool) -> None:
        """Give it back, or up."""
        self.send(nack_frame(self.number, tag, requeue=requeue))
        self._handed_out.pop(tag, None)

    def flush(self) -> None:
        """Acknowledge: the oldest that are handed out in one frame, others one by one."""
        acked, self._acked = self._acked, set()
        if not acked or self.error is not None:
            return
        oldest = list(itertools.takewhile(acked.__contains__, self._handed_out))
        frames = []
        if oldest:
            frames.append(ack_frame(self.number, oldest[-1], multiple=True))
            acked.difference_update(oldest)
        frames += [ack_frame(self.number, tag) for tag in acked]
        for tag in (*oldest, *acked):
            self._handed_out.pop(tag, None)
        self.send(b"".join(frames))


class Getter:
    """Takes single messages over a few channels, each of which serves one call after the other."""

    def __init__(self, wire: Wire, terms: LineTerms) -> None:
        self._wire = wire
        self._terms = terms
        self._channels: list[TakingChannel] = []

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
        return channel.delivery(queue, answer) if isinstance(answer, Content) else None

    def _least_busy(self, link: AmqpLink) -> TakingChannel:
        self._channels = [channel for channel in self._channels if channel.error is None]
        idle = [channel for channel in self._channels if not channel.unanswered]
        if idle:
            return idle[0]
        if len(self._channels) < self._terms.get_channels:
            self._channels.append(TakingChannel(link))
            return self._channels[-1]
        return min(self._channels, key=lambda channel: channel.unanswered)


def _give_back(channel: TakingChannel, answer: Answer) -> None:
    if isinstance(answer, Content) and channel.error is None:
        channel.nack(answer.method.tag, requeue=True)
