"""DATA frames on streams that are open at both ends, without what h2 does for each of them.

h2 makes objects, flags, events and texts for its log out of every frame. A dialogue says one small
DATA frame after the other, each in a packet of its own, and all that such a frame changes are the
windows of its stream and of the connection: they are kept in h2's own books, which take whatever
is not as plain. (Measured: h2 takes 150,000 instructions for a frame each way.)
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from grpclib.protocol import Connection
from h2.connection import ConnectionState, H2Connection
from h2.stream import H2Stream, StreamState


def _books_are_known() -> bool:
    """Whether this release of h2 keeps its books as it is read here; else h2 does all of it."""
    http2 = H2Connection()
    stream = H2Stream(1, http2.config, 0, 0)
    found = (
        (http2, ("incoming_buffer", "outbound_flow_control_window", "streams", "state_machine")),
        (http2, ("_inbound_flow_control_window_manager",)),
        (http2.incoming_buffer, ("_data", "_headers_buffer")),
        (stream, ("_expected_content_length", "_inbound_window_manager")),
        (stream, ("outbound_flow_control_window", "state_machine")),
        (stream.state_machine, ("state", "headers_received")),
    )
    return all(hasattr(owner, name) for owner, names in found for name in names)


BOOKS_ARE_KNOWN: Final = _books_are_known()
HEADER_BYTES: Final = 9  # RFC 9113, section 4.1
MAX_FRAME_BYTES: Final = 16_384  # what every peer takes (section 6.5.2)


def plain_frame(http2: H2Connection, packet: bytes, wanted: Container[int]) -> int:
    """Which of the `wanted` streams this packet is a DATA frame of; 0: it is all h2's affair.

    The frame's data are `packet[HEADER_BYTES:]`; the windows have them, to be acknowledged.
    """
    if not BOOKS_ARE_KNOWN:
        return 0
    size = len(packet) - HEADER_BYTES
    # Its type and flags are zeros, and no other frame has begun.
    if (
        not 0 < size <= MAX_FRAME_BYTES
        or packet[:5] != size.to_bytes(3, "big") + b"\0\0"
        or http2.incoming_buffer._data
        or http2.incoming_buffer._headers_buffer
    ):
        return 0
    stream_id = int.from_bytes(packet[5:HEADER_BYTES], "big")
    stream = _open_stream(http2, stream_id) if stream_id in wanted else None
    if stream is None or stream._expected_content_length is not None:
        return 0
    windows = http2._inbound_flow_control_window_manager, stream._inbound_window_manager
    if size > min(windows[0].current_window_size, windows[1].current_window_size):
        return 0
    for window in windows:
        window.window_consumed(size)
    return stream_id


def put_plainly(connection: Connection, stream_id: int, data: bytes) -> bool:
    """Send this as one DATA frame that does not end the stream; False: h2 has to be asked."""
    http2, size = connection._connection, len(data)
    stream = _open_stream(http2, stream_id)
    if (
        stream is None
        or connection.is_closing()
        or size > MAX_FRAME_BYTES
        or size > min(http2.outbound_flow_control_window, stream.outbound_flow_control_window)
    ):
        return False
    connection.flush()
    http2.outbound_flow_control_window -= size
    stream.outbound_flow_control_window -= size
    header = size.to_bytes(3, "big") + b"\0\0" + stream_id.to_bytes(4, "big")
    connection._transport.write(header + data)
    return True


def _open_stream(http2: H2Connection, stream_id: int) -> H2Stream | None:
    """The stream, if data may go either way on it."""
    if not BOOKS_ARE_KNOWN:
        return None
    stream = http2.streams.get(stream_id)
    if stream is None or http2.state_machine.state is ConnectionState.CLOSED:
        return None
    state = stream.state_machine
    if state.state is StreamState.OPEN and state.headers_received:
        return stream
    return None
