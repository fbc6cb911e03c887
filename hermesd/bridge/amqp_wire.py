"""One connection to the broker that comes back by itself, and how it fares."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final, Never

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from hermesd.bridge.amqp_link import AmqpLink, open_link
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.backoff import Backoff
from hermesd.core.broker import LineStatus
from hermesd.core.errors import AccessRefused, HermesError, Unavailable

RECONNECT: Final = Backoff(seconds=0.2, factor=2.0, max_seconds=3.0, jitter=0.3)
SLOWEST: Final = 64  # failures after which no backoff grows any more


class LineTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a line to a broker.

    A broker silent for three heartbeats is given up. `call_timeout_seconds` is for connecting and
    for each call. At most so many messages and bytes are published and not confirmed yet; a call
    with more waits for room. So many channels serve `get`, each for one call after the other.
    """

    heartbeat_seconds: int = 10
    call_timeout_seconds: float = 5.0
    unconfirmed_messages: int = 4096
    unconfirmed_bytes: int = 32 * 1024 * 1024
    get_channels: int = 4
    reconnect: Backoff = RECONNECT


class Wire:
    """Connects, watches and connects again in `run`; calls `told` when `status` has changed."""

    def __init__(
        self,
        purpose: str,
        address: AmqpUrl,
        terms: LineTerms,
        ssl_context: ssl.SSLContext | None,
        log: FilteringBoundLogger,
    ) -> None:
        self.told: Callable[[], None] = lambda: None
        self.address = address  # a new password in it is for the next connection
        self._terms = terms
        self._ssl_context = ssl_context
        self.log = log.bind(broker=address.where, purpose=purpose)
        self._link: AmqpLink | None = None
        self._status = LineStatus(
            connected=False, reason=f"{address.where}: not connected yet", since=trio.current_time()
        )

    @property
    def where(self) -> str:
        """host:port of the broker."""
        return self.address.where

    @property
    def status(self) -> LineStatus:
        """How it is now."""
        return self._status

    @property
    def current(self) -> AmqpLink | None:
        """The connection, None while there is none."""
        return self._link if self._link is not None and self._link.error is None else None

    def link(self) -> AmqpLink:
        """The connection; Unavailable where there is none."""
        link = self.current
        if link is None:
            raise Unavailable(self._status.reason)
        return link

    async def run(self) -> Never:
        """Keep it connected until cancelled."""
        failures = 0
        while True:
            started = trio.current_time()
            error = await self._connect_and_watch()
            lasted = trio.current_time() - started
            failures = 1 if lasted > self._terms.reconnect.max_seconds else failures + 1
            if isinstance(error, AccessRefused):
                failures = SLOWEST
            self._tell(connected=False, reason=error.detail)
            chance = random.random()
            await trio.sleep(self._terms.reconnect.delay_seconds(min(failures, SLOWEST), chance))

    async def _connect_and_watch(self) -> HermesError:
        """Until it is lost, or cannot be had; answers why."""
        try:
            async with open_link(
                self.address,
                heartbeat_seconds=self._terms.heartbeat_seconds,
                timeout_seconds=self._terms.call_timeout_seconds,
                ssl_context=self._ssl_context,
            ) as self._link:
                lost = trio.Event()
                self._link.changed = partial(self._look, self._link, lost)
                self._look(self._link, lost)
                try:
                    await lost.wait()
                finally:
                    self._link.changed = _nobody_cares  # how it ends now is no news
                return self._link.error or Unavailable(f"{self.where}: the connection was lost")
        except HermesError as error:
            return error
        finally:
            self._link = None

    def _look(self, link: AmqpLink, lost: trio.Event) -> None:
        if link.error is None:
            self._tell(connected=True, reason=link.blocked)
        else:
            self._tell(connected=False, reason=link.error.detail)
            lost.set()

    def _tell(self, *, connected: bool, reason: str) -> None:
        old, blocked = self._status, connected and bool(reason)
        if (old.connected, old.blocked, old.reason) == (connected, blocked, reason):
            return
        self._status = LineStatus(
            connected=connected, blocked=blocked, reason=reason, since=trio.current_time()
        )
        if blocked:
            self.log.warning("broker_blocked", reason=reason)
        elif connected:
            self.log.info("broker_unblocked" if old.blocked else "broker_connected")
        else:
            self.log.warning("broker_lost" if old.connected else "broker_away", reason=reason)
        self.told()


def _nobody_cares() -> None:
    """For a connection that is being left."""
