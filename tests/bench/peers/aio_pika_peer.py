"""A bare aio-pika consumer: what RabbitMQ gives to a program that keeps no store and no results."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.bench.peers.peer import PAYLOAD, Peer, Program, in_tasks, main, marker, sizes, told, url

QUEUE = "bench"
PREFETCH = 64

PEER = Peer(
    name="aio-pika",
    module="tests.bench.peers.aio_pika_peer",
    packages=("aio-pika",),
    server="rabbitmq",
    durable="persistent message in a quorum queue, confirmed by RabbitMQ; no outcome is kept",
    bulk="500 publishes at a time, each confirmed",
)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Any, Any]]:
    """A channel with confirms, and the queue."""
    import aio_pika  # type: ignore[import-not-found]  # only in its own environment

    connection = await aio_pika.connect(url())
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.set_qos(prefetch_count=PREFETCH)
        arguments = {"x-queue-type": "quorum"}
        yield channel, await channel.declare_queue(QUEUE, durable=True, arguments=arguments)


async def publish(channel: Any) -> None:
    """One persistent message, until the broker has confirmed it."""
    import aio_pika

    message = aio_pika.Message(
        json.dumps(PAYLOAD).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )
    await channel.default_exchange.publish(message, routing_key=QUEUE)


async def consume() -> None:
    """Each message is acknowledged after its work."""
    mark = marker()
    async with opened() as (_, queue), queue.iterator() as messages:
        async for message in messages:
            json.loads(message.body)
            mark()
            await message.ack()


def worker() -> None:
    """Two processes, as there are cores."""
    os.fork()
    asyncio.run(consume())


def single(jobs: int, submitters: int) -> None:
    """One confirmed publish each."""

    async def run() -> None:
        async with opened() as (channel, _):
            await in_tasks(lambda: publish(channel), jobs, submitters)

    asyncio.run(run())


def bulk(jobs: int) -> None:
    """All of a batch at once."""

    async def run() -> None:
        async with opened() as (channel, _):
            began = time.monotonic()
            for size in sizes(jobs):
                await asyncio.gather(*(publish(channel) for _ in range(size)))
            told(began)

    asyncio.run(run())


if __name__ == "__main__":
    main(Program(worker, single, bulk))
