"""Logging in to an AMQP 0-9-1 broker: the socket, and aiormq's connection on it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast
from urllib.parse import quote

import trio
from aiormq import Connection, exceptions
from aiormq.connection import FrameReceiver, ReceivedFrame, TransportFactory
from pamqp import commands
from pamqp.base import Frame
from pamqp.common import FieldTable
from pamqp.frame import FrameTypes
from trio_asyncio import trio_as_aio
from yarl import URL

from hermesd.bridge.amqp_read import Frames
from hermesd.core.amqp_url import AmqpUrl

TLS_GOODBYE_SECONDS: Final = 1.0


async def login(
    address: AmqpUrl, transport: Transport, heartbeat_seconds: int
) -> ReportingConnection:
    """Asyncio-flavoured: connect and log in; raises what aiormq and the socket raise."""
    scheme = "amqps" if address.tls else "amqp"
    login = f"{quote(address.user, safe='')}:{quote(address.password, safe='')}"
    path = f"{quote(address.vhost, safe='')}?heartbeat={heartbeat_seconds}"
    url = URL(f"{scheme}://{login}@{address.where}/{path}", encoded=True)
    named = cast(FieldTable, {"connection_name": "hermesd"})  # shown by the broker's own tools
    connection = ReportingConnection(url, transport_factory=transport, client_properties=named)
    connection.vhost = address.vhost  # aiormq decodes it by halves
    await connection.connect()
    return connection


class Transport(TransportFactory):
    """Opens the socket and keeps hold of it: aiormq's own close can wait long for a dead peer."""

    def __init__(
        self, address: AmqpUrl, ssl_context: ssl.SSLContext | None, handshake_seconds: float
    ) -> None:
        self._address = address
        self._options: dict[str, Any] = {}
        if ssl_context is not None:
            self._options = {
                "ssl": ssl_context,
                "server_hostname": address.host,
                "ssl_handshake_timeout": handshake_seconds,
                "ssl_shutdown_timeout": TLS_GOODBYE_SECONDS,
            }
        self._writer: asyncio.StreamWriter | None = None

    async def create(
        self, url: URL, **_kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See TransportFactory."""
        # Here asyncio's own look-up of a name cannot be cancelled; trio's can.
        dial = trio_as_aio(trio.open_tcp_stream)
        stream: trio.SocketStream = await dial(self._address.host, self._address.port)
        dialled = socket.socket(fileno=stream.socket.detach())
        dialled.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=dialled, **self._options)
        return reader, self._writer

    @property
    def unsent_bytes(self) -> int:
        """What the kernel has not taken yet."""
        return self._writer.transport.get_write_buffer_size() if self._writer is not None else 0

    def abort(self) -> None:
        """Drop the socket if it is still there."""
        if self._writer is not None:
            # What aiormq has closed twice, asyncio's TLS has let go of already (Python 3.11.2).
            with suppress(AttributeError):
                self._writer.transport.abort()


class ReportingConnection(Connection):
    """aiormq's, with four things changed.

    It would tell a Connection.Close in answer to Connection.Open as garbage. It would keep the
    reason to itself when the broker blocks it. Its queue of frames to send has no bound here, since
    a full one makes it drop answers that the protocol wants; what is sent is bounded by us. And it
    reads with Frames, since its own receiver spends most of a message's time.
    """

    FRAME_BUFFER_SIZE = 0

    def __init__(self, url: URL, **options: Any) -> None:
        super().__init__(url, **options)
        self.blocked = ""
        self.blocked_changed: Callable[[], None] = lambda: None

    @staticmethod
    async def _rpc(
        request: Frame,
        writer: asyncio.StreamWriter,
        frame_receiver: FrameReceiver,
        wait_response: bool = True,
    ) -> FrameTypes | None:
        frames = _OpeningFrames(frame_receiver)
        return await Connection._rpc(request, writer, frames, wait_response)

    # By the names that aiormq itself has for them.
    async def _Connection__reader(self, receiver: FrameReceiver) -> None:  # noqa: N802
        read = cast(Any, super())._Connection__reader
        await read(Frames(receiver.reader))

    async def _Connection__handle_connection_blocked(  # noqa: N802
        self, frame: commands.Connection.Blocked
    ) -> None:
        self._set_blocked(frame.reason or "blocked")

    async def _Connection__handle_connection_unblocked(  # noqa: N802
        self, _: commands.Connection.Unblocked
    ) -> None:
        self._set_blocked("")

    def _set_blocked(self, reason: str) -> None:
        self.blocked = reason
        self.blocked_changed()


class _OpeningFrames(FrameReceiver):
    """The frames of `receiver`; a Connection.Close among them is raised."""

    def __init__(self, receiver: FrameReceiver) -> None:
        super().__init__(receiver.reader)
        self._receiver = receiver

    async def get_frame(self) -> ReceivedFrame:
        received = await self._receiver.get_frame()
        frame = received[-1]
        if isinstance(frame, commands.Connection.Close):
            raise exceptions.ConnectionClosed(frame.reply_code, frame.reply_text)
        return received
