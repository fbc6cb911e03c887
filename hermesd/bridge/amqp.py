"""A connection to an AMQP 0-9-1 broker for a look at it: who it is, and what its queues hold."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from hermesd.bridge.amqp_link import AmqpLink, open_link
from hermesd.bridge.amqp_topology import Declarer
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.broker import QueueFacts

HEARTBEAT_SECONDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class BrokerIdentity:
    """What the broker says of itself in Connection.Start; empty where it does not."""

    product: str
    version: str
    cluster_name: str


@asynccontextmanager
async def open_amqp(
    url: str, *, call_timeout_seconds: float, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[AmqpConnection]:
    """A connection to the broker at `url`, logged in; must be opened inside `open_bridge()`.

    Connecting, each call and closing have `call_timeout_seconds` each. Raises InvalidValue where
    the URL is none (see AmqpUrl), and else as `open_link` does.
    """
    async with open_link(
        AmqpUrl.parse(url),
        heartbeat_seconds=HEARTBEAT_SECONDS,
        timeout_seconds=call_timeout_seconds,
        ssl_context=ssl_context,
    ) as link:
        yield AmqpConnection(link, call_timeout_seconds)


class AmqpConnection:
    """An open connection; it does not come back by itself when it is lost.

    Every call raises Unavailable when the broker does not answer it in time or the connection is
    lost, and AccessRefused when the user may not do it; other calls are not harmed by either.
    """

    def __init__(self, link: AmqpLink, call_timeout_seconds: float) -> None:
        self._link = link
        self._asking = Declarer(lambda: link, call_timeout_seconds)

    @property
    def where(self) -> str:
        """host:port of the broker."""
        return self._link.where

    @property
    def broker(self) -> BrokerIdentity:
        """What the broker said of itself."""
        said = self._link.server_properties
        texts = {name: value for name, value in said.items() if isinstance(value, str)}
        return BrokerIdentity(
            product=texts.get("product", ""),
            version=texts.get("version", ""),
            cluster_name=texts.get("cluster_name", ""),
        )

    async def round_trip_seconds(self) -> float:
        """How long the broker took to answer: one small frame there, one back."""
        started = trio.current_time()
        await self._asking.round_trip()
        return trio.current_time() - started

    async def queue(self, name: str) -> QueueFacts | None:
        """What the queue holds; None where there is none of that name. Creates nothing."""
        return await self._asking.depth(name)
