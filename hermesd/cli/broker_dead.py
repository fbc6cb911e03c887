"""What `hermesd dlq` does at the broker's dead-letter queue.

AMQP can only take a message to look at it. Those that are not meant are held until the end and then
given back, as the broker itself gives back whatever is held when this process is interrupted. A
message leaves the queue when it is acknowledged, which a requeue does after the broker has
confirmed the message's copy: at any moment it is in one queue, or in both.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from hermesd.bridge.amqp_line import BrokerLine, LineTerms, open_broker_line
from hermesd.bridge.amqp_link import open_link
from hermesd.bridge.amqp_topology import Declarer
from hermesd.cli.bridged import run_bridged
from hermesd.cli.broker_letters import DeadLetter, LetterReader, Picked
from hermesd.config import QueueSection
from hermesd.config.authority import broker_authority
from hermesd.core.amqp_names import Names
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.broker import PublishFate
from hermesd.core.errors import HermesError, Unavailable
from hermesd.ports import Delivery

MAX_HELD: Final = 10_000
MAX_HELD_BYTES: Final = 128 * 1024 * 1024
BATCH: Final = 100
BATCH_BYTES: Final = 8 * 1024 * 1024
_POLL_SECONDS: Final = 0.02
AnswerT = TypeVar("AnswerT")


@dataclass(kw_only=True)
class Seen:
    """Messages that are meant, and their bodies in the same order.

    Not `complete`: there are more, or the bound of what is held was met. `waiting` is all messages.
    """

    letters: list[DeadLetter] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    waiting: int = 0
    complete: bool = True


@dataclass(kw_only=True)
class Moved:
    """How many left the queue, why others did not, by id; `error`: what ended it too early."""

    moved: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    complete: bool = True
    error: HermesError | None = None


class BrokerDead:
    """Each call connects, and raises Unavailable, AccessRefused, ConfigError, KeyboardInterrupt."""

    def __init__(self, queue: QueueSection) -> None:
        self._section = queue
        names = Names.of(queue.namespace, queue.names)
        self._queue = names.dead_letter_queue
        self._reader = LetterReader(names, queue.max_message_bytes)

    def look(self, picked: Picked, limit: int) -> Seen:
        """Up to `limit` of them, as they lie there: what was looked at before may come later."""

        async def ask(walk: _Walk) -> Seen:
            seen = Seen(waiting=walk.waiting)
            while len(seen.letters) < limit:
                delivery = await walk.next()
                if delivery is None:
                    break
                walk.hold(delivery)
                letter = self._reader.letter(delivery)
                if picked.has(letter):
                    seen.letters.append(letter)
                    seen.bodies.append(delivery.body)
            seen.complete = walk.at_end
            await walk.give_back()
            return seen

        return self._run(ask, Seen())

    def count(self, picked: Picked) -> int:
        """How many are meant, among the first that can be held at a time unless all are."""
        if picked.everything:
            return self.look(picked, 0).waiting
        return len(self.look(picked, MAX_HELD).letters)

    def requeue(self, picked: Picked, limit: int) -> Moved:
        """Publish up to `limit` of them as at first, and take each away when that is confirmed."""

        async def act(walk: _Walk, batch: list[Delivery], done: Moved) -> None:
            letters = [self._reader.letter(delivery) for delivery in batch]
            sent: list[tuple[Delivery, str]] = []
            for delivery, letter in zip(batch, letters, strict=True):
                if letter.routing_key is None:
                    walk.hold(delivery)
                    done.kept[letter.id] = "it does not tell where it was published to"
                else:
                    sent.append((delivery, letter.routing_key))
            fates = await walk.line.publish([self._reader.again(*each) for each in sent])
            for (delivery, key), fate in zip(sent, fates, strict=True):
                if fate is PublishFate.CONFIRMED:
                    await delivery.ack()
                    done.moved += 1
                    continue
                walk.hold(delivery)
                if fate is PublishFate.RETURNED:
                    done.kept[self._reader.letter(delivery).id] = f"no queue takes {key}"
                else:
                    reason = walk.line.status.reason or "a message was not confirmed"
                    done.error = Unavailable(f"the broker takes no messages: {reason}")

        return self._move(picked, limit, act)

    def purge(self, picked: Picked, limit: int) -> Moved:
        """Drop up to `limit` of them for good."""

        async def act(walk: _Walk, batch: list[Delivery], done: Moved) -> None:
            for delivery in batch:
                await delivery.ack()
                done.moved += 1

        return self._move(picked, limit, act)

    def _move(
        self,
        picked: Picked,
        limit: int,
        act: Callable[[_Walk, list[Delivery], Moved], Awaitable[None]],
    ) -> Moved:
        async def move(walk: _Walk) -> Moved:
            done = Moved()
            tried = 0
            try:
                while tried < limit and done.error is None:
                    batch = await self._batch(walk, picked, min(BATCH, limit - tried))
                    if not batch:
                        break
                    tried += len(batch)
                    await act(walk, batch, done)
                done.complete = done.error is None and (tried >= limit or walk.at_end)
                await walk.give_back()
            except HermesError as error:
                done.error, done.complete = error, False
            return done

        return self._run(move, Moved())

    async def _batch(self, walk: _Walk, picked: Picked, size: int) -> list[Delivery]:
        """The next ones that are meant; those that are not are held."""
        batch: list[Delivery] = []
        taken_bytes = 0
        while len(batch) < size and taken_bytes < BATCH_BYTES:
            delivery = await walk.next()
            if delivery is None:
                break
            if picked.everything or picked.has(self._reader.letter(delivery)):
                batch.append(delivery)
                taken_bytes += len(delivery.body)
            else:
                walk.hold(delivery)
        return batch

    def _run(self, ask: Callable[[_Walk], Awaitable[AnswerT]], nothing: AnswerT) -> AnswerT:
        """What `ask` answers, or `nothing` where the queue is empty or absent."""
        return run_bridged(lambda: self._asked(ask, nothing))

    async def _asked(self, ask: Callable[[_Walk], Awaitable[AnswerT]], nothing: AnswerT) -> AnswerT:
        queue = self._section
        address, authority = AmqpUrl.parse(queue.url), broker_authority(queue)
        # First by itself, since a line does not tell why it cannot connect as an error.
        async with open_link(
            address,
            heartbeat_seconds=queue.heartbeat_seconds,
            timeout_seconds=queue.call_timeout_seconds,
            ssl_context=authority,
        ) as link:
            found = await Declarer(lambda: link, queue.call_timeout_seconds).depth(self._queue)
        if found is None or not found.messages:
            return nothing
        terms = LineTerms(
            heartbeat_seconds=queue.heartbeat_seconds,
            call_timeout_seconds=queue.call_timeout_seconds,
        )
        answer: AnswerT | HermesError
        async with open_broker_line(queue.url, terms, log=_silent(), ssl_context=authority) as line:
            try:
                await _connected(line, queue.call_timeout_seconds)
                answer = await ask(
                    _Walk(line, self._queue, found.messages, queue.call_timeout_seconds)
                )
            except HermesError as error:  # raised in here, it would come out in a group
                answer = error
        if isinstance(answer, HermesError):
            raise answer
        return answer


class _Walk:
    """Once through the messages that were `waiting`, not through those that came since."""

    def __init__(self, line: BrokerLine, queue: str, waiting: int, timeout_seconds: float) -> None:
        self.line = line
        self.waiting = waiting
        self.at_end = False
        self._queue = queue
        self._timeout_seconds = timeout_seconds
        self._taken = 0
        self._held: list[Delivery] = []
        self._held_bytes = 0

    async def next(self) -> Delivery | None:
        """The next one; None at the end, and where no more can be held."""
        if len(self._held) >= MAX_HELD or self._held_bytes >= MAX_HELD_BYTES:
            return None
        delivery = await self.line.get(self._queue) if self._taken < self.waiting else None
        self._taken += 1
        self.at_end = delivery is None or self._taken >= self.waiting
        return delivery

    def hold(self, delivery: Delivery) -> None:
        """It stays in the queue, and does not come again now."""
        self._held.append(delivery)
        self._held_bytes += len(delivery.body)

    async def give_back(self) -> None:
        """All that is held, and wait until it is there for whoever comes next."""
        if not self._held:
            return
        ready = await self._ready()
        for delivery in self._held:
            await delivery.requeue()
        with trio.move_on_after(self._timeout_seconds):  # somebody else may have taken one
            while True:
                if await self._ready() >= ready + len(self._held):
                    break
                await trio.sleep(_POLL_SECONDS)

    async def _ready(self) -> int:
        facts = await self.line.depth(self._queue)
        return facts.messages if facts else 0


async def _connected(line: BrokerLine, timeout_seconds: float) -> None:
    with trio.move_on_after(timeout_seconds):
        while not line.status.connected:
            await line.changed()
    if not line.status.connected:
        raise Unavailable(line.status.reason)


def _silent() -> FilteringBoundLogger:
    """What the line would log is what the commands' errors say."""
    wrapper = structlog.make_filtering_bound_logger(logging.CRITICAL)
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[], wrapper_class=wrapper
    )
    return logger
