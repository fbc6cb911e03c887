"""Frames out of bytes: those that come with every message by hand, all others by pamqp.

The layouts are those of AMQP 0-9-1, sections 4.2.3 (frames), 4.2.6 (content) and 1.8 (basic).
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final, NamedTuple, cast

from aiormq.connection import FrameReceiver, ReceivedFrame
from aiormq.exceptions import InvalidFrameError
from pamqp import constants, frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader

READ_BYTES: Final = 256 * 1024
_HEAD: Final = struct.Struct(">BHI")
_INDEX: Final = struct.Struct(">I")
_SIZE: Final = struct.Struct(">Q")
_TAG: Final = struct.Struct(">QB")
_SIZE_AT: Final = 4  # behind class and weight
_CONSUMER_AT: Final = 4  # behind the index


class Brought(NamedTuple):
    """Basic.Deliver, Basic.GetOk or Basic.Return (`by` is the method's index): a message follows.

    `tag` is 0 for one that is returned, and `consumer` is empty but for one that is delivered.
    """

    by: int
    tag: int = 0
    redelivered: bool = False
    consumer: str = ""


class Header:
    """A content header; its properties are read when somebody wants them."""

    __slots__ = ("_payload", "body_size")

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        [self.body_size] = _SIZE.unpack_from(payload, _SIZE_AT)

    @property
    def properties(self) -> Basic.Properties:
        """Those of the message, empty where they cannot be read."""
        header = ContentHeader()
        try:
            header.unmarshal(self._payload)
        except (ValueError, struct.error):
            return Basic.Properties()
        return header.properties


class Frames(FrameReceiver):
    """The frames of a stream, many for each read; it ends where the peer has closed it."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._buffer = b""
        self._at = 0

    async def get_frame(self) -> ReceivedFrame:
        """See FrameReceiver; brought messages come as Brought and Header."""
        while (found := self._next()) is None:
            more = await self.reader.read(READ_BYTES)
            if not more:
                raise StopAsyncIteration
            self._buffer = self._buffer[self._at :] + more
            self._at = 0
        return found

    def _next(self) -> ReceivedFrame | None:
        buffer, at = self._buffer, self._at
        if len(buffer) - at < constants.FRAME_HEADER_SIZE:
            return None
        kind, channel, size = _HEAD.unpack_from(buffer, at)
        start = at + constants.FRAME_HEADER_SIZE
        end = start + size
        if len(buffer) <= end:
            return None
        if buffer[end] != constants.FRAME_END:
            raise InvalidFrameError(buffer[at : at + constants.FRAME_HEADER_SIZE])
        self._at = end + 1
        payload = buffer[start:end]
        if kind == constants.FRAME_BODY:
            return size, channel, ContentBody(payload)
        try:
            if kind == constants.FRAME_HEADER:
                return size, channel, cast(ContentHeader, Header(payload))
            if kind == constants.FRAME_METHOD:
                brought = _brought(payload)
                if brought is not None:
                    return size, channel, cast(Basic.Deliver, brought)
            return frame.unmarshal(buffer[at : end + 1])
        except (PAMQPException, struct.error, IndexError, UnicodeDecodeError) as error:
            raise InvalidFrameError(str(error)) from error


def _brought(payload: bytes) -> Brought | None:
    [index] = _INDEX.unpack_from(payload)
    if index == Basic.Deliver.index:
        start = _CONSUMER_AT + 1
        end = start + payload[_CONSUMER_AT]
        tag, bits = _TAG.unpack_from(payload, end)
        return Brought(index, tag, bool(bits & 1), payload[start:end].decode())
    if index == Basic.GetOk.index:
        tag, bits = _TAG.unpack_from(payload, _INDEX.size)
        return Brought(index, tag, bool(bits & 1))
    return Brought(index) if index == Basic.Return.index else None
