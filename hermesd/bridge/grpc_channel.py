"""A client's connection to one api, made again when it was lost."""

from __future__ import annotations

from functools import partial
from typing import Final, cast

from grpclib.client import Channel
from grpclib.metadata import USER_AGENT
from grpclib.protocol import H2Protocol

from hermesd.bridge.asked import AskedStreams
from hermesd.bridge.http2 import GuardedProtocol
from hermesd.bridge.unary import CONTROL_PATH, Headers

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024


class ControlChannel(Channel):
    """grpclib's channel; unary calls are made on its connection and past it."""

    def request_headers(self, name: str) -> Headers:
        """What a unary call of Control begins with."""
        return [
            (":method", "POST"),
            (":scheme", self._scheme),
            (":path", f"{CONTROL_PATH}{name}"),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", USER_AGENT),
        ]

    def connected(self) -> AskedStreams | None:
        """The connection, if there is one that takes a call at once."""
        if not self._connected:
            return None
        protocol = cast(GuardedProtocol, self._protocol)
        if not protocol.connection.write_ready.is_set():
            return None
        return cast(AskedStreams, protocol.processor)

    async def connect(self) -> AskedStreams:
        """Connect where that is needed, and wait until the socket takes data."""
        protocol = cast(GuardedProtocol, await self.__connect__())
        await protocol.connection.write_ready.wait()
        return cast(AskedStreams, protocol.processor)

    def _protocol_factory(self) -> H2Protocol:
        return GuardedProtocol(
            super()._protocol_factory(), partial(AskedStreams, max_message_bytes=MAX_ANSWER_BYTES)
        )
