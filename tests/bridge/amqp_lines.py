"""Lines to a broker for tests, and what several tests do with them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog
import trio
from brokers.declaring import declare

from hermesd.bridge.amqp_line import BrokerLine, LineTerms, open_broker_line
from hermesd.core.broker import (
    BrokerQueue,
    LineStatus,
    Message,
    PublishFate,
    QueueFacts,
    Topology,
)

PATIENCE_SECONDS = 150.0
QUORUM = {"x-queue-type": "quorum"}
_numbers = itertools.count()


@asynccontextmanager
async def open_line(url: str, *, serving: bool = True, **terms) -> AsyncIterator[BrokerLine]:
    """A line that serves, unless that is not to be waited for."""
    terms = {"call_timeout_seconds": PATIENCE_SECONDS, **terms}
    async with open_broker_line(url, LineTerms(**terms), log=structlog.get_logger()) as line:
        if serving:
            await until(line, lambda status: status.serving)
        yield line


async def until(line: BrokerLine, holds: Callable[[LineStatus], bool]) -> LineStatus:
    """Wait for a status."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not holds(line.status):
            await line.changed()
    return line.status


async def new_queue(line: BrokerLine, **arguments: str | int) -> str:
    """Declare a quorum queue that no other test has."""
    name = f"line-{next(_numbers)}"
    arguments = {**QUORUM, **{key.replace("_", "-"): arguments[key] for key in arguments}}
    await declare(line, topology(BrokerQueue(name=name, arguments=arguments)))
    return name


def topology(*queues: BrokerQueue, exchanges=(), bindings=()) -> Topology:
    """What a test wants to exist."""
    return Topology(exchanges=exchanges, queues=queues, bindings=bindings)


def messages(queue: str, bodies: Sequence[bytes], **fields) -> list[Message]:
    """One for each body, by the default exchange to a queue."""
    return [
        Message(exchange="", routing_key=queue, body=body, headers={}, **fields) for body in bodies
    ]


async def publish(line: BrokerLine, queue: str, *bodies: bytes) -> None:
    """Publish, and all is confirmed."""
    fates = await line.publish(messages(queue, bodies))
    assert fates == [PublishFate.CONFIRMED] * len(bodies)


async def drain(line: BrokerLine, queue: str) -> list[bytes]:
    """Take all that a queue has."""
    bodies = []
    while (delivery := await line.get(queue)) is not None:
        await delivery.ack()
        bodies.append(delivery.body)
    return bodies


async def gathered(line: BrokerLine, queue: str, count: int) -> list[bytes]:
    """Take so many messages, some of which may be on their way back; then nothing is left of it.

    A broker that is busy works off the channels of a connection one after the other, so that what
    one of them was told long ago may happen after another was answered.
    """
    bodies: list[bytes] = []
    with trio.fail_after(PATIENCE_SECONDS):
        while len(bodies) < count:
            bodies += await drain(line, queue)
        while await line.depth(queue) != QueueFacts(messages=0, consumers=0):
            await trio.lowlevel.checkpoint()
    return bodies


async def holds(line: BrokerLine, queue: str, count: int) -> None:
    """Wait until so many messages are ready in a queue."""
    with trio.fail_after(PATIENCE_SECONDS):
        while (await line.depth(queue)).messages != count:
            await trio.lowlevel.checkpoint()
