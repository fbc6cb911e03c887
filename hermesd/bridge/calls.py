"""Calls on an HTTP/2 connection without a task for each of them, for both ends.

grpclib drives a call by a task that waits for an event and writes a packet at each step. Here a
call is an object that callbacks feed, and all that it has to say at one time is one packet, so
that a small call costs either end less than half. Such are the unary calls, and dialogues: calls
that stay open, where each message is answered before the next one is sent. Other streaming calls,
and requests that are not plain gRPC, stay grpclib's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from grpclib.const import Status
from grpclib.protocol import AbstractHandler, Connection
from h2.events import DataReceived, RemoteSettingsChanged, StreamEnded, StreamReset, WindowUpdated

from hermesd.bridge.http2 import GuardedProcessor
from hermesd.bridge.plain_frames import HEADER_BYTES, plain_frame, put_plainly

Headers = list[tuple[str, str]]

CONTROL_PATH: Final = "/hermes.v1.Control/"
ACKNOWLEDGED_BYTES: Final = 64 * 1024  # far below the windows, which have 4 MiB
PREFIX_BYTES: Final = 5  # the compressed flag and the length before each message


class CallStream(ABC):
    """One message in and one out at a time on a stream of `streams`, until `leave`."""

    def __init__(self, streams: CallStreams, stream_id: int) -> None:
        self._streams = streams
        self._id = stream_id
        self._chunks: list[bytes] = []
        self._size = 0
        self._wanted = PREFIX_BYTES
        self._headers: Headers | None = None
        self._unsent: bytes = b""
        self._position = 0
        self._trailers: Headers | None = None
        self._ends = True
        self._unacknowledged_bytes = 0
        streams.calls[stream_id] = self

    @abstractmethod
    def received(self, message: bytes) -> None:
        """The peer's message is here; no other is taken until `expect`."""

    @abstractmethod
    def unreadable(self, status: Status, reason: str) -> None:
        """What the peer sends is no message, or too large a one."""

    @abstractmethod
    def ended(self) -> None:
        """The peer will send nothing more."""

    @abstractmethod
    def lost(self, reason: str) -> None:
        """The peer has given up the call, or the connection is gone."""

    @abstractmethod
    def sent(self) -> None:
        """All that this end has to say is handed to the socket."""

    @property
    def lacking(self) -> str:
        """How much of the message is missing: "all", "a part", or nothing ("")."""
        if not self._wanted:
            return ""
        return "a part" if self._size else "all"

    @property
    def sending(self) -> bool:
        """Whether a part of a message waits until it is taken."""
        return bool(self._unsent)

    def expect(self) -> None:
        """Take one more message."""
        self._wanted = PREFIX_BYTES

    def surplus(self) -> None:  # noqa: B027  # a unary call has no use for it
        """The peer has sent more than one message; it is passed over."""

    def feed(self, data: bytes) -> None:
        """Take in a part of the message."""
        if not self._wanted:
            if data:
                self.surplus()
            return
        self._size += len(data)
        if self._chunks:
            self._chunks.append(data)
            if self._size < self._wanted:
                return
            data = b"".join(self._chunks)
        if self._size >= PREFIX_BYTES:
            length = int.from_bytes(data[1:PREFIX_BYTES], "big")
            limit = self._streams.max_message_bytes
            if data[0] or length > limit:
                self._wanted = 0
                if data[0]:
                    text = "compressed messages are not supported"
                    self.unreadable(Status.UNIMPLEMENTED, text)
                else:
                    text = f"a message of {length} bytes is over the limit of {limit}"
                    self.unreadable(Status.RESOURCE_EXHAUSTED, text)
                return
            self._wanted = PREFIX_BYTES + length
        if self._size < self._wanted:
            self._chunks = [data]
            return
        message, more = data[PREFIX_BYTES : self._wanted], self._size > self._wanted
        self._chunks, self._size, self._wanted = [], 0, 0
        self.received(message)
        if more:
            self.surplus()

    def feed_plain(self, data: bytes) -> None:
        """Take in what h2 does not know of; it is acknowledged in larger parts."""
        self._unacknowledged_bytes += len(data)
        if self._unacknowledged_bytes >= ACKNOWLEDGED_BYTES:
            self._acknowledge()
        self.feed(data)

    def _acknowledge(self) -> None:
        size, self._unacknowledged_bytes = self._unacknowledged_bytes, 0
        if size and not self._streams.connection.is_closing():
            self._streams.connection.ack(self._id, size)

    def send(
        self,
        headers: Headers | None,
        message: bytes | None = None,
        trailers: Headers | None = None,
        *,
        ends: bool = True,
    ) -> None:
        """Send these; the last of them ends the stream, unless it is a message that does not.

        What the peer's windows or the socket do not take now goes when they do.
        """
        self._headers, self._trailers, self._ends = headers, trailers, ends
        if message is not None:
            self._unsent = b"\0" + len(message).to_bytes(4, "big") + message
        self.send_on()

    def send_on(self) -> None:
        """Send as much as is taken now, as one packet where it is small."""
        streams, http2, unsent = self._streams, self._streams.http2, self._unsent
        streams.blocked.discard(self)
        if not streams.connection.write_ready.is_set():
            streams.blocked.add(self)
            return
        if self._headers is not None:
            http2.send_headers(self._id, self._headers, end_stream=not unsent)
            self._headers = None
        elif not (self._ends or self._position) and put_plainly(
            streams.connection, self._id, unsent
        ):
            self._unsent = b""
            self.sent()
            return
        while self._position < len(unsent):
            if self._position and not streams.connection.write_ready.is_set():
                streams.blocked.add(self)
                return
            window = http2.local_flow_control_window(self._id)
            end = min(self._position + min(window, http2.max_outbound_frame_size), len(unsent))
            if end <= self._position:
                streams.blocked.add(self)
                streams.connection.flush()
                return
            chunk, self._position = unsent[self._position : end], end
            last = end == len(unsent)
            ends = last and self._ends and self._trailers is None
            http2.send_data(self._id, chunk, end_stream=ends)
            if not last:
                streams.connection.flush()
        self._unsent, self._position = b"", 0
        if self._trailers is not None:
            http2.send_headers(self._id, self._trailers, end_stream=True)
        streams.connection.flush()
        self.sent()

    def leave(self, *, reset: bool) -> None:
        """Be done with the stream; `reset` it where either end has not ended it."""
        streams = self._streams
        if streams.calls.pop(self._id, None) is None:
            return
        self._acknowledge()
        streams.blocked.discard(self)
        streams.connection.stream_close_waiter.set()
        if not reset or streams.connection.is_closing():
            return
        stream = streams.http2.streams.get(self._id)
        if stream is not None and not stream.closed:
            streams.http2.reset_stream(self._id)
            streams.connection.flush()


class CallStreams(GuardedProcessor):
    """Hands the events of a connection to its calls, and those of other streams to grpclib.

    `blocked` are calls that have more to send than is taken.
    """

    def __init__(
        self, handler: AbstractHandler, connection: Connection, max_message_bytes: int
    ) -> None:
        super().__init__(handler, connection, max_message_bytes)
        self.max_message_bytes = max_message_bytes
        self.http2 = connection._connection
        self.calls: dict[int, CallStream] = {}
        self.blocked: set[CallStream] = set()

    def process_packet(self, packet: bytes) -> bool:
        """Take a packet that is one plain DATA frame of a call; False: it is for h2."""
        stream_id = plain_frame(self.http2, packet, self.calls)
        if stream_id:
            self.calls[stream_id].feed_plain(packet[HEADER_BYTES:])
        return bool(stream_id)

    def process_data_received(self, event: DataReceived) -> None:
        """Feed the call, and let the peer send as much again."""
        call = self.calls.get(event.stream_id)
        if call is None:
            super().process_data_received(event)
            return
        if event.flow_controlled_length:
            self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        call.feed(event.data)

    def process_stream_ended(self, event: StreamEnded) -> None:
        """Tell the call."""
        call = self.calls.get(event.stream_id)
        if call is None:
            super().process_stream_ended(event)
        else:
            call.ended()

    def process_stream_reset(self, event: StreamReset) -> None:
        """Tell the call."""
        call = self.calls.get(event.stream_id)
        if call is None:
            super().process_stream_reset(event)
        else:
            call.lost(f"Stream reset by remote party, error_code: {event.error_code}")

    def process_window_updated(self, event: WindowUpdated) -> None:
        """Send what waited for a window."""
        super().process_window_updated(event)
        self.resume()

    def process_remote_settings_changed(self, event: RemoteSettingsChanged) -> None:
        """Send what waited for a larger window."""
        super().process_remote_settings_changed(event)
        self.resume()

    def resume(self) -> None:
        """Send what waited for the peer or the socket."""
        for call in tuple(self.blocked):
            call.send_on()

    def close(self, reason: str = "Connection closed") -> None:
        """Close the connection; its calls are lost."""
        super().close(reason)
        for call in tuple(self.calls.values()):
            call.lost(reason)
