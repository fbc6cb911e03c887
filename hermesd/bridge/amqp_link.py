"""One connection to an AMQP 0-9-1 broker, logged in; it does not come back when it is lost."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast

import trio
from aiormq.abc import ChannelFrame
from trio_asyncio import aio_as_trio

from hermesd.bridge.amqp_errors import time_limit, translated
from hermesd.bridge.amqp_login import ReportingConnection, Transport, login
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.errors import HermesError, Unavailable


@asynccontextmanager
async def open_link(
    address: AmqpUrl,
    *,
    heartbeat_seconds: int,
    timeout_seconds: float,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[AmqpLink]:
    """Connect and log in; must be opened inside `open_bridge()`.

    Connecting and closing have `timeout_seconds` each; a peer that is silent for three heartbeats
    is given up. Raises AccessRefused where the login or the virtual host is refused, and
    Unavailable for whatever else keeps it from the broker. For amqps:// the certificate is checked
    against `ssl_context`, or else against the system's authorities.
    """
    # What aiormq logs, at the level of errors, is what our own log says once.
    aiormq_log = logging.getLogger("aiormq")
    aiormq_log.addHandler(_SILENCE)
    aiormq_log.propagate = False
    if address.tls and ssl_context is None:
        ssl_context = ssl.create_default_context()
    transport = Transport(address, ssl_context if address.tls else None, timeout_seconds)
    try:
        with time_limit(address.where, timeout_seconds):
            link = await _connected(address, transport, heartbeat_seconds)
        try:
            yield link
        finally:
            # Without the socket nothing waits any more, whatever aiormq would still like to hear.
            last = link.connection.loop.call_later(timeout_seconds, transport.abort)
            with trio.move_on_after(2 * timeout_seconds, shield=True):
                await aio_as_trio(_close)(link)
            last.cancel()
            link.end(Unavailable(f"{address.where}: the connection is closed"))
    finally:
        transport.abort()


_SILENCE: Final = logging.NullHandler()


class AmqpLink:
    """An open connection; `error` says why it is of no use any more, None while it is.

    `changed` is called at once when `error` or `blocked` changes.
    """

    def __init__(self, where: str, connection: ReportingConnection, transport: Transport) -> None:
        self.where = where
        self.connection = connection
        self.changed: Callable[[], None] = lambda: None
        self.error: HermesError | None = None
        self._transport = transport
        self._last_number = 0
        self._unwritten: list[bytes] = []
        self._ended: asyncio.Future[None] = connection.loop.create_future()
        connection.blocked_changed = lambda: self.changed()
        # Sooner than aiormq's own word for it, which waits for what it still has to send.
        connection._reader_task.add_done_callback(self._reader_ended)

    @property
    def blocked(self) -> str:
        """Why the broker takes no messages (its memory or disk alarm); empty where it does."""
        return self.connection.blocked

    @property
    def max_frame_bytes(self) -> int:
        """Of one frame, with its envelope of eight bytes."""
        return self.connection.connection_tune.frame_max or 131_072

    @property
    def unsent_bytes(self) -> int:
        """What waits in this process because the broker reads too slowly."""
        return self._transport.unsent_bytes

    @property
    def server_properties(self) -> Mapping[str, object]:
        """What the broker said of itself in Connection.Start."""
        return self.connection.server_properties or {}

    def send(self, payload: bytes) -> None:
        """Send whole frames, after those that were sent before; bounded by what callers await.

        All that is sent before asyncio's loop runs again goes out in one write.
        """
        if not self._unwritten:
            self.connection.loop.call_soon(self._write)
        self._unwritten.append(payload)

    def soon(self, call: Callable[[], None]) -> None:
        """Call that when what is under way in asyncio's loop now is done."""
        self.connection.loop.call_soon(call)

    async def written(self) -> None:
        """Asyncio-flavoured: return when what was sent is on its way, or nothing goes any more."""
        for channel in tuple(self.connection.channels.values()):
            cast(Any, channel).flush()
        drained = self.connection.loop.create_future()
        self._write()
        last = ChannelFrame(payload=b"", should_close=False, drain_future=drained)
        self.connection.write_queue.put_nowait(last)
        await asyncio.wait((drained, self._ended), return_when=asyncio.FIRST_COMPLETED)

    def attach(self, channel: Any) -> int:
        """Give a channel its number; a number is used again as late as possible.

        So late, that no frame of its former user can still be under way.
        """
        if self.error is not None:
            raise self.error
        taken = self.connection.channels
        highest = self.connection.connection_tune.channel_max or 65_535
        for step in range(highest):
            number = (self._last_number + step) % highest + 1
            if number not in taken:
                self._last_number = number
                taken[number] = channel
                return number
        raise Unavailable(f"{self.where}: all {highest} channels are in use")

    def end(self, error: HermesError) -> None:
        """It is of no use from here on: tell everyone who waits on a channel of it."""
        if self.error is not None:
            return
        self.error = error
        self._ended.set_result(None)
        self._transport.abort()
        for channel in tuple(self.connection.channels.values()):
            cast(Any, channel).end(error)
        self.changed()

    def _write(self) -> None:
        frames = ChannelFrame(payload=b"".join(self._unwritten), should_close=False)
        self._unwritten.clear()
        self.connection.write_queue.put_nowait(frames)

    def _reader_ended(self, task: asyncio.Task[None]) -> None:
        lost: BaseException | None = asyncio.CancelledError()
        if not task.cancelled():
            lost = task.exception()
        if self.connection.is_connection_was_stuck:
            silent = 3 * (self.connection.heartbeat_timeout + 1)
            lost = Unavailable(f"{self.where}: no sign of life for {silent} s")
        self.end(translated(self.where, lost or EOFError()))


async def _connected(address: AmqpUrl, transport: Transport, heartbeat_seconds: int) -> AmqpLink:
    try:
        connection: ReportingConnection = await aio_as_trio(login)(
            address, transport, heartbeat_seconds
        )
    except (Exception, asyncio.CancelledError) as error:
        # A CancelledError that is not trio's is aiormq's own, or the loop's that is closing.
        raise translated(address.where, error) from error
    return AmqpLink(address.where, connection, transport)


async def _close(link: AmqpLink) -> None:
    with suppress(Exception, asyncio.CancelledError):  # it is lost already then
        if link.error is None:
            await link.written()
        await link.connection.close()
