"""Publishing with confirms: many messages at once on one channel, one wait for all their fates.

RabbitMQ's publisher confirms: the messages of a channel are numbered from 1 in their order, and the
broker acknowledges one number, or all up to one. A message that no queue takes comes back before it
is acknowledged.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import trio
from pamqp import commands
from structlog.typing import FilteringBoundLogger

from hermesd.bridge.amqp_channel import AmqpChannel, Content, Unasked
from hermesd.bridge.amqp_frames import message_frames, written
from hermesd.bridge.amqp_link import AmqpLink
from hermesd.bridge.amqp_wire import LineTerms, Wire
from hermesd.core.broker import Message, PublishFate
from hermesd.core.errors import HermesError


class _Batch:
    """The messages of one call, and what is known of each."""

    __slots__ = ("all_handed", "fates", "handed", "settled", "under_way", "written")

    def __init__(self, number: int, messages: Sequence[Message]) -> None:
        self.written = [written(each, f"{number}.{i}") for i, each in enumerate(messages)]
        self.fates = [PublishFate.REFUSED] * len(messages)  # until it is handed over
        self.handed = 0
        self.under_way = 0
        self.all_handed = False
        self.settled = trio.Event()

    def settle(self, index: int, fate: PublishFate) -> None:
        """What became of a message that was handed over; a returned one stays returned."""
        if self.fates[index] is PublishFate.UNKNOWN:
            self.fates[index] = fate
        self.under_way -= 1
        self.end_if_settled()

    def end_if_settled(self) -> None:
        """Wake the caller where nothing is under way and no more will be."""
        if self.all_handed and not self.under_way:
            self.settled.set()


class Publisher:
    """Publishes on a channel that is opened when it is first needed, and again when it closed."""

    def __init__(self, wire: Wire, terms: LineTerms) -> None:
        self._wire = wire
        self._terms = terms
        self._channel: _ConfirmChannel | None = None
        self._numbers = itertools.count()
        self._batches: dict[int, _Batch] = {}

    async def publish(self, messages: Sequence[Message]) -> Sequence[PublishFate]:
        """See ports.Broker.publish. REFUSED are also those that were never handed to the broker.

        That is: at once while the line is down or blocked, and at the time limit where others'
        messages under way left no room. InvalidValue, and nothing is published, where one of them
        does not fit the protocol.
        """
        number = next(self._numbers)
        batch = self._batches[number] = _Batch(number, messages)
        used: _ConfirmChannel | None = None
        try:
            with trio.move_on_after(self._terms.call_timeout_seconds):
                while batch.handed < len(batch.written):
                    channel = self._open_channel()
                    if channel is None:
                        break
                    used = channel  # what an earlier one had is settled, since it has ended
                    if not channel.hand_over(batch):
                        await channel.room.park()
                batch.all_handed = True
                batch.end_if_settled()
                await batch.settled.wait()
        finally:
            del self._batches[number]
            if batch.under_way and used is not None:
                used.forget(batch)
        return batch.fates

    def _open_channel(self) -> _ConfirmChannel | None:
        """The channel to publish on; None where the broker cannot be published to now."""
        link = self._wire.current
        if link is None or link.blocked:
            return None
        if self._channel is None or self._channel.error is not None:
            self._channel = _ConfirmChannel(link, self._terms, self._batches, self._wire.log)
        return self._channel


class _ConfirmChannel(AmqpChannel):
    """A channel in confirm mode; `room` is unparked when messages were settled."""

    def __init__(
        self,
        link: AmqpLink,
        terms: LineTerms,
        batches: dict[int, _Batch],
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(link)
        self._log = log
        self.room = trio.lowlevel.ParkingLot()
        self._terms = terms
        self._batches = batches
        self._under_way: dict[int, tuple[_Batch, int, int]] = {}  # batch, index, bytes
        self._under_way_bytes = 0
        self._last_tag = 0
        self._settled_up_to = 0
        self._ask(commands.Confirm.Select())

    def hand_over(self, batch: _Batch) -> int:
        """Send as many of the batch's messages as there is room for; answers how many."""
        frames: list[bytes] = []
        first = batch.handed
        for index in range(first, len(batch.written)):
            size = batch.written[index].size
            if not self._has_room(size):
                break
            frames.append(message_frames(batch.written[index], self.number, self.max_frame_bytes))
            self._last_tag += 1
            self._under_way[self._last_tag] = batch, index, size
            self._under_way_bytes += size
            batch.fates[index] = PublishFate.UNKNOWN
        count = len(frames)
        batch.handed += count
        batch.under_way += count
        if count:
            self.send(b"".join(frames))
        return count

    def forget(self, batch: _Batch) -> None:
        """Its caller waits no more: what it had under way takes no room from others."""
        for tag in [tag for tag, each in self._under_way.items() if each[0] is batch]:
            self._under_way_bytes -= self._under_way.pop(tag)[2]
        self.room.unpark_all()

    def _has_room(self, size: int) -> bool:
        if not self._under_way:
            return self._link.unsent_bytes < self._terms.unconfirmed_bytes
        under_way_bytes = max(self._under_way_bytes, self._link.unsent_bytes)
        return (
            len(self._under_way) < self._terms.unconfirmed_messages
            and under_way_bytes + size <= self._terms.unconfirmed_bytes
        )

    def _arrived(self, unasked: Unasked) -> None:
        if isinstance(unasked, Content):
            self._returned(unasked)
        elif isinstance(unasked, commands.Basic.Ack):
            self._settle(unasked.delivery_tag, unasked.multiple, PublishFate.CONFIRMED)
        elif isinstance(unasked, commands.Basic.Nack):
            self._settle(unasked.delivery_tag, unasked.multiple, PublishFate.REFUSED)

    def _returned(self, content: Content) -> None:
        number, _, index = (content.properties.correlation_id or "").partition(".")
        batch = self._batches.get(int(number))
        if batch is not None:
            batch.fates[int(index)] = PublishFate.RETURNED

    def _settle(self, tag: int, up_to: bool, fate: PublishFate) -> None:
        for each in range(self._settled_up_to + 1, tag + 1) if up_to else (tag,):
            found = self._under_way.pop(each, None)
            if found is not None:
                batch, index, size = found
                self._under_way_bytes -= size
                batch.settle(index, fate)
        if up_to:
            self._settled_up_to = tag
        self.room.unpark_all()

    def _ended(self, error: HermesError) -> None:
        if self._link.error is None:
            self._log.warning("publish_channel_closed", reason=error.detail)
        under_way, self._under_way = self._under_way, {}
        for batch, index, _ in under_way.values():
            batch.settle(index, PublishFate.UNKNOWN)
        self.room.unpark_all()
