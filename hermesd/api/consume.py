"""Consumes one of the broker's queues for ever, in batches, whatever becomes of the line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import trio

from hermesd.api.outage import Outage
from hermesd.api.state import ApiState
from hermesd.core.errors import HermesError
from hermesd.ports import Broker, Delivery

MAX_BATCH: Final = 200
RETRY_SECONDS: Final = 1.0

Handle = Callable[[Sequence[Delivery]], Awaitable[None]]


class Consumer:
    """One queue of the broker, and who handles what comes.

    A handler that raises has its batch back from the broker, after a pause.
    """

    def __init__(self, state: ApiState, broker: Broker, queue: str, handle: Handle):
        self._state = state
        self._broker = broker
        self._queue = queue
        self._handle = handle

    async def run(self) -> None:
        """Consume whenever the line is there."""
        log = self._state.log.bind(queue=self._queue)
        outage = Outage(log, "cannot consume", "consuming again")
        while True:
            while not self._broker.status.connected:
                await self._broker.changed()
            try:
                await self._consume(outage)
            except* HermesError as errors:
                outage.failed(_first(errors))
            await trio.sleep(RETRY_SECONDS)

    async def _consume(self, outage: Outage) -> None:
        most = self._state.config.queue.prefetch
        async with (
            self._broker.consume(self._queue, most) as deliveries,
            trio.open_nursery() as nursery,
        ):
            outage.worked()
            source, sink = trio.open_memory_channel[Delivery](most)
            nursery.start_soon(_pump, deliveries, source)
            async for first in sink:
                batch = [first]
                while len(batch) < MAX_BATCH:
                    try:
                        batch.append(sink.receive_nowait())
                    except (trio.WouldBlock, trio.EndOfChannel):
                        break
                await self._handle(batch)


async def _pump(
    deliveries: AsyncIterator[Delivery], source: trio.MemorySendChannel[Delivery]
) -> None:
    async with source:
        async for delivery in deliveries:
            await source.send(delivery)


def _first(errors: BaseExceptionGroup[HermesError]) -> HermesError:
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
