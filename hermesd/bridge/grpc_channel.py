"""A client's connection to one api, made again when it was lost."""

from __future__ import annotations

from functools import partial
from typing import Final, cast

from grpclib.client import Channel
from grpclib.const import Status
from grpclib.metadata import USER_AGENT
from grpclib.protocol import H2Protocol

from hermesd.bridge.asked import AskedStreams, Refused
from hermesd.bridge.calls import CONTROL_PATH, Headers
from hermesd.bridge.http2 import GuardedProtocol

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
# The calls that have a dialogue, and its name; a connection has one at a time.
DIALOGUES: Final = {"Report": "Reports"}


class ControlChannel(Channel):
    """grpclib's channel; calls are made on its connection and past it.

    `knows_dialogues`: whether the api has any, as far as is known; False once it has refused one.
    """

    knows_dialogues = True

    async def ask(self, streams: AskedStreams, name: str, request: bytes) -> bytes:
        """Call Control on this connection: in its dialogue, if the call has one that is free.

        See `AskedStreams.ask` and `AskedCall.reply` for what is raised.
        """
        plural = DIALOGUES.get(name) if self.knows_dialogues else None
        dialogue = plural and streams.dialogue(self.request_headers(plural))
        if dialogue:
            try:
                return await dialogue.ask(request)
            except Refused as error:
                if error.status is not Status.UNIMPLEMENTED:
                    raise
                self.knows_dialogues = False
        return await streams.ask(self.request_headers(name), request).reply()

    def request_headers(self, name: str) -> Headers:
        """What a call of Control begins with."""
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
