"""HTTP/2 connections of grpclib with the limits that it lacks, for both ends.

A message over the limit is refused before its body is read; bytes that break grpclib or h2 cost
their own connection only; a peer that takes no data, or whose host has vanished, is dropped.
Concurrent streams (100 per connection) and the size of headers (64 KiB) are bounded by h2.
"""

from __future__ import annotations

import socket
from asyncio import BaseTransport, Transport
from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from google.protobuf.message import DecodeError
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.encoding.proto import ProtoCodec
from grpclib.exceptions import GRPCError
from grpclib.protocol import AbstractHandler, Buffer, Connection, EventsProcessor, H2Protocol
from grpclib.protocol import Stream as Http2Stream
from h2.events import Event as Http2Event

from hermesd.bridge.header_memory import remember_headers

MAX_UNSENT_BYTES: Final = 8 * 1024 * 1024
UNACKED_SECONDS: Final = 10.0

# Ping a silent peer, drop it when it does not answer. Both ends are ours, so idle ones too.
KEEPALIVE: Final = Configuration(
    _keepalive_time=10.0,
    _keepalive_timeout=10.0,
    _keepalive_permit_without_calls=True,
    _http2_max_pings_without_data=0,
    _http2_min_sent_ping_interval_without_data=5.0,
)


class StrictCodec(ProtoCodec):
    """Protobuf whose decoding errors are the sender's fault."""

    def decode(self, data: bytes, message_type: Any) -> Any:
        """The message; INVALID_ARGUMENT where the bytes are none."""
        try:
            return super().decode(data, message_type)
        except DecodeError:
            name = message_type.DESCRIPTOR.full_name
            raise GRPCError(Status.INVALID_ARGUMENT, f"not a {name}") from None


class BoundedBuffer(Buffer):
    """What a stream has received; grpclib asks for a message's whole body in one read."""

    def __init__(self, ack: Callable[[int], None], max_message_bytes: int) -> None:
        super().__init__(ack)
        self._max_message_bytes = max_message_bytes

    async def read(self, size: int) -> bytes:
        """`size` bytes, or none at the end; RESOURCE_EXHAUSTED if that is over the limit."""
        if size > self._max_message_bytes:
            limit = self._max_message_bytes
            text = f"a message of {size} bytes is over the limit of {limit}"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, text)
        try:
            return await super().read(size)
        except AssertionError:  # grpclib's word for a body that is shorter than its prefix says
            text = "the stream ended inside a message"
            raise GRPCError(Status.INVALID_ARGUMENT, text) from None


class GuardedProcessor(EventsProcessor):
    """Gives every stream a bounded buffer, and passes over events that gRPC has no use for."""

    def __init__(
        self, handler: AbstractHandler, connection: Connection, max_message_bytes: int
    ) -> None:
        super().__init__(handler, connection)
        self._max_message_bytes = max_message_bytes

    def register(self, stream: Http2Stream) -> Callable[[], None]:
        """Take a stream on, before any of its data is read."""
        assert stream.id is not None, "grpclib numbers a stream before it registers it"
        stream_id, connection = stream.id, stream.connection
        stream.buffer = BoundedBuffer(
            lambda size: connection.ack(stream_id, size), self._max_message_bytes
        )
        return super().register(stream)

    def process(self, event: Http2Event) -> None:
        """Unknown frames are to be ignored (RFC 9113, section 5.5); grpclib raises."""
        try:
            super().process(event)
        except NotImplementedError:
            return

    def process_packet(self, packet: bytes) -> bool:
        """Take what has come without asking h2, if that is possible."""
        return False

    def resume(self) -> None:
        """The socket takes data again; grpclib's own streams wait for that by themselves."""


class GuardedProtocol(H2Protocol):
    """One connection. `opened` may refuse it with False; `closed` is called once."""

    processor: GuardedProcessor

    def __init__(
        self,
        plain: H2Protocol,
        make_processor: Callable[[AbstractHandler, Connection], GuardedProcessor],
        opened: Callable[[GuardedProtocol], bool] = lambda _: True,
        closed: Callable[[GuardedProtocol], None] = lambda _: None,
    ) -> None:
        super().__init__(plain.handler, plain.config, plain.h2_config)
        self._make_processor = make_processor
        self._opened = opened
        self._closed = closed
        self._transport: Transport | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Set the connection up with the limits, or drop it at once."""
        super().connection_made(transport)
        remember_headers(self.connection._connection)
        self.processor = self._make_processor(self.handler, self.connection)
        self._transport = cast(Transport, transport)
        _bound_unacked_time(transport)
        if not self._opened(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take in bytes; whatever they break, it is this connection that goes."""
        try:
            if not self.processor.process_packet(data):
                super().data_received(data)
        except Exception as error:
            self._drop(f"{type(error).__name__}: {error}")
            return
        if self._transport and self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._drop("it asks without taking the answers")

    def resume_writing(self) -> None:
        """Send what waited for the socket."""
        super().resume_writing()
        self.processor.resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the calls of this connection."""
        super().connection_lost(exc)
        self._closed(self)

    def close(self) -> None:
        """Send what is buffered, then close; the calls of this connection end now."""
        self.processor.close("the server has closed the connection")

    def _drop(self, reason: str) -> None:
        if self._transport is None:
            return
        peer = self._transport.get_extra_info("peername")
        structlog.get_logger("hermesd.bridge").info(
            "http2_connection_dropped", peer=peer, reason=reason[:200]
        )
        self.processor.close(reason)
        self._transport.abort()


def _bound_unacked_time(transport: BaseTransport) -> None:
    """Let the kernel end a connection whose peer acknowledges nothing (tcp(7), Linux).

    Without it a close waits for minutes until buffered data is given up, and meanwhile grpclib
    takes the connection for a living one.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    sock = transport.get_extra_info("socket")
    if option is not None and sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, int(UNACKED_SECONDS * 1000))
