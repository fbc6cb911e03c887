"""What `hermesd topology` does at a broker."""

from __future__ import annotations

from collections.abc import Sequence

from hermesd.bridge.amqp_link import open_link
from hermesd.bridge.amqp_topology import Declarer
from hermesd.cli.bridged import run_bridged
from hermesd.config import QueueSection
from hermesd.config.authority import broker_authority
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.broker import Found, Topology


def found_at(queue: QueueSection, topology: Topology, *, create: bool) -> Sequence[Found]:
    """Declare the topology at the broker of `queue`, or only inspect it.

    Raises Unavailable, AccessRefused, ConfigError and KeyboardInterrupt.
    """
    address = AmqpUrl.parse(queue.url)
    authority = broker_authority(queue)

    async def ask() -> Sequence[Found]:
        async with open_link(
            address,
            heartbeat_seconds=queue.heartbeat_seconds,
            timeout_seconds=queue.call_timeout_seconds,
            ssl_context=authority,
        ) as link:
            declarer = Declarer(lambda: link, queue.call_timeout_seconds)
            return await (declarer.declare if create else declarer.inspect)(topology)

    return run_bridged(ask)
