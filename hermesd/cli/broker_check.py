"""What `hermesd broker check` asks a broker: a run of trio of its own."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio

from hermesd.bridge.amqp import Broker, QueueFacts, open_amqp
from hermesd.bridge.loop import open_bridge
from hermesd.core.errors import HermesError


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The broker, the time of a round trip, and by name what its queues hold (None: absent)."""

    broker: Broker
    round_trip_seconds: float
    queues: dict[str, QueueFacts | None]


def checked(url: str, queues: tuple[str, ...], *, timeout_seconds: float) -> Checked:
    """Ask it all; raises as `open_amqp` does, and KeyboardInterrupt."""
    # What aiormq logs is what our error says; with no handler at all it would go to stderr.
    logging.getLogger("aiormq").addHandler(logging.NullHandler())
    answer = trio.run(_answer, url, queues, timeout_seconds)
    if answer is None:
        raise KeyboardInterrupt
    if isinstance(answer, HermesError):
        raise answer
    return answer


async def _answer(
    url: str, queues: tuple[str, ...], timeout_seconds: float
) -> Checked | HermesError | None:
    """None at Ctrl-C, since a KeyboardInterrupt in the midst of asyncio's code can be lost."""
    answer: Checked | HermesError | None = None
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_first, interrupts, nursery.cancel_scope)
            async with open_bridge():
                try:
                    answer = await _ask(url, queues, timeout_seconds)
                except HermesError as error:
                    answer = error  # raised here, it would come out of the nursery in a group
            nursery.cancel_scope.cancel()
    return answer


async def _cancel_at_first(interrupts: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in interrupts:
        scope.cancel()
        return


async def _ask(url: str, queues: tuple[str, ...], timeout_seconds: float) -> Checked:
    async with open_amqp(url, call_timeout_seconds=timeout_seconds) as connection:
        return Checked(
            broker=connection.broker,
            round_trip_seconds=await connection.round_trip_seconds(),
            queues={name: await connection.queue(name) for name in queues},
        )
