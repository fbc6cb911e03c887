"""What `hermesd broker check` asks a broker."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from hermesd.bridge.amqp import BrokerIdentity, open_amqp
from hermesd.cli.bridged import run_bridged
from hermesd.core.broker import QueueFacts


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The broker, the time of a round trip, and by name what its queues hold (None: absent)."""

    broker: BrokerIdentity
    round_trip_seconds: float
    queues: dict[str, QueueFacts | None]


def checked(url: str, queues: tuple[str, ...], *, timeout_seconds: float) -> Checked:
    """Ask it all; raises as `open_amqp` does, and KeyboardInterrupt."""
    return run_bridged(partial(_ask, url, queues, timeout_seconds))


async def _ask(url: str, queues: tuple[str, ...], timeout_seconds: float) -> Checked:
    async with open_amqp(url, call_timeout_seconds=timeout_seconds) as connection:
        return Checked(
            broker=connection.broker,
            round_trip_seconds=await connection.round_trip_seconds(),
            queues={name: await connection.queue(name) for name in queues},
        )
