"""The broker of a deployment: its part of the session's RabbitMQ node, and what is done to it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, TypeVar

import aiormq
import trio
from aiormq.abc import AbstractConnection, DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity
from brokers.rabbitmq import RabbitNode

BANDS: Final = ("critical", "high", "normal", "background")
QUEUES: Final = (*(f"default.{band}" for band in BANDS), "returned", "outcomes", "dlq")
RAISED: Final = "0.4"  # the node's own default for its memory alarm
LOWERED: Final = "0.000001"

LOOKS: Final = 5

FoundT = TypeVar("FoundT")
_numbers = itertools.count()


class Broker:
    """A namespace of its own in `node`. All that waits for the node does so in a thread."""

    def __init__(self, node: RabbitNode) -> None:
        self.node = node
        self.namespace = f"flow{os.getpid()}-{next(_numbers)}"
        self._paused = False
        self._alarmed = False

    def settings(self, port: int | None = None) -> dict[str, str]:
        """What lets a daemon use it, through a proxy at `port` if given."""
        url = self.node.url()
        if port is not None:
            url = url.replace(f":{self.node.port}/", f":{port}/")
        return {
            "HERMES_QUEUE__KIND": "amqp",
            "HERMES_QUEUE__URL": url,
            "HERMES_QUEUE__NAMESPACE": self.namespace,
            "HERMES_QUEUE__HEARTBEAT_SECONDS": "2",
            "HERMES_QUEUE__CALL_TIMEOUT_SECONDS": "3",
        }

    def queue(self, band: str, name: str = "default") -> str:
        """The name in the broker of a named queue's band."""
        return f"{self.namespace}.{name}.{band}"

    async def messages(self) -> dict[str, int]:
        """How many wait in each queue of the namespace, by its name behind the namespace.

        Asked of the queues themselves: what rabbitmqctl tells of quorum queues is seconds old. One
        that says 0 is asked again: RabbitMQ says so, too, of a queue that takes 250 ms to answer.
        """

        async def ask(connection: AbstractConnection) -> dict[str, int]:
            found = {}
            for name in QUEUES:
                channel = await connection.channel()  # an absent queue costs its channel
                with suppress(ChannelNotFoundEntity):
                    for _ in range(LOOKS):
                        told = await channel.queue_declare(f"{self.namespace}.{name}", passive=True)
                        found[name] = told.message_count or 0
                        if found[name]:
                            break
                    await channel.close()
            return found

        return await self._talk(ask)

    async def purge(self, queue: str) -> None:
        """Throw away what a queue holds, as an operator might."""
        await self.control("purge_queue", queue)

    async def delete(self, queue: str) -> None:
        """Delete a queue with all it holds."""
        await self.control("delete_queue", queue)

    async def double(self, queue: str) -> int:
        """Put a copy of every message behind it, and the messages back; how many there were."""

        async def copy(connection: AbstractConnection) -> int:
            channel = await connection.channel(publisher_confirms=True)
            taken: list[DeliveredMessage] = []
            while (got := await channel.basic_get(queue)).delivery_tag is not None:
                taken.append(got)
            for each in taken:
                await channel.basic_publish(
                    each.body,
                    exchange=each.exchange or "",
                    routing_key=each.routing_key or "",
                    properties=each.header.properties,
                )
            return len(taken)  # closing the connection puts back what was taken

        return await self._talk(copy)

    async def cut_connections(self) -> None:
        """Close every client's connection: what was not acknowledged is delivered again."""
        await self.control("close_all_connections", "for a test")

    async def kill9(self) -> None:
        """End the node at once."""
        await trio.to_thread.run_sync(self.node.kill)

    async def stop(self) -> None:
        """End the node in its own way."""
        await self.control("stop")
        await trio.to_thread.run_sync(self.node.kill)

    async def start(self) -> None:
        """Start it again at the same place; returns when it answers."""
        await trio.to_thread.run_sync(self.node.start)

    def pause(self) -> None:
        """Let it hang."""
        self._paused = True
        self.node.pause()

    def resume(self) -> None:
        """Let it go on."""
        self._paused = False
        self.node.resume()

    async def alarm(self) -> None:
        """Let it be short of memory, so that it takes no messages."""
        self._alarmed = True
        await self.control("set_vm_memory_high_watermark", LOWERED)

    async def calm(self) -> None:
        """Let it have memory again."""
        await self.control("set_vm_memory_high_watermark", RAISED)
        self._alarmed = False

    async def recover(self) -> None:
        """Leave a node that serves, whatever was done to it."""
        if self._paused:
            self.resume()
        if not self.node.running:
            await self.start()
        if self._alarmed:
            await self.calm()

    async def control(self, *arguments: str) -> str:
        """What rabbitmqctl says."""
        return await trio.to_thread.run_sync(partial(self.node.control, *arguments))

    async def _talk(self, talk: Callable[[AbstractConnection], Awaitable[FoundT]]) -> FoundT:
        async def converse() -> FoundT:
            connection = await aiormq.connect(self.node.url())
            try:
                return await talk(connection)
            finally:
                await connection.close()

        return await trio.to_thread.run_sync(lambda: asyncio.run(converse()))


@asynccontextmanager
async def open_broker(node: RabbitNode) -> AsyncIterator[Broker]:
    """A broker that serves; afterwards its node does too."""
    opened = Broker(node)
    await opened.recover()
    try:
        yield opened
    finally:
        with trio.CancelScope(shield=True):
            await opened.recover()
