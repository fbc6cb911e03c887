"""DATA frames that h2 is not asked about."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from hermesd.bridge import plain_frames
from hermesd.bridge.plain_frames import BOOKS_ARE_KNOWN, HEADER_BYTES, plain_frame


def test_the_books_of_the_installed_h2_are_known():
    """Else all would still work, and cost three times as much."""
    assert BOOKS_ARE_KNOWN


def test_a_release_of_h2_with_other_books_does_it_all_itself(monkeypatch):
    """Nothing is read that it may not have."""
    client, server = talking_pair()
    client.send_data(1, b"one")
    packet = client.data_to_send()
    monkeypatch.setattr(plain_frames, "BOOKS_ARE_KNOWN", False)
    assert plain_frame(server, packet, {1}) == 0
    monkeypatch.undo()
    assert plain_frame(server, packet, {1}) == 1


def test_plain_frames_leave_the_books_of_h2_as_h2_would():
    """Windows, and whatever is not plain is left to h2."""
    ours, theirs = talking_pair(), talking_pair()
    for size in (1, 200, 16_384):
        packets = []
        for client, _ in (ours, theirs):
            client.send_data(1, b"x" * size)
            packets.append(client.data_to_send())
        assert plain_frame(ours[1], packets[0], {1}) == 1
        assert packets[0][HEADER_BYTES:] == b"x" * size
        theirs[1].receive_data(packets[1])
        assert books(ours[1]) == books(theirs[1])
        for _, server in (ours, theirs):
            server.acknowledge_received_data(size, 1)
        assert books(ours[1]) == books(theirs[1])


@pytest.mark.parametrize("wanted", [{1}, {3}])
def test_what_is_not_plain_is_for_h2(wanted):
    """An end, padding, a part of a frame, two frames, another frame, and streams of others."""
    client, server = talking_pair()
    before = books(server)
    client.send_data(1, b"one")
    whole = client.data_to_send()
    client.send_data(1, b"padded", pad_length=3)
    padded = client.data_to_send()
    client.ping(b"12345678")
    ping = client.data_to_send()
    client.end_stream(1)
    ended = client.data_to_send()
    unplain = [b"", whole[:5], whole[:-1], whole + b"\0", whole * 2, padded, ping, ended]
    for packet in unplain if wanted == {1} else [*unplain, whole]:
        assert plain_frame(server, packet, wanted) == 0
    assert books(server) == before
    server.receive_data(whole[:4])
    assert plain_frame(server, whole, wanted) == 0
    server.receive_data(whole[4:] + ended)
    assert plain_frame(server, whole, wanted) == 0


def books(http2: H2Connection) -> tuple[int, ...]:
    """The windows for what is received."""
    managers = http2._inbound_flow_control_window_manager, http2.streams[1]._inbound_window_manager
    return tuple(
        number for each in managers for number in (each.current_window_size, each._bytes_processed)
    )


def talking_pair() -> tuple[H2Connection, H2Connection]:
    """A client and a server with one stream that is open at both ends."""
    client, server = (
        H2Connection(H2Configuration(client_side=side, header_encoding="ascii"))
        for side in (True, False)
    )
    for end in (client, server):
        end.initiate_connection()
    request = [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", "x")]
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    client.send_headers(1, request)
    server.receive_data(client.data_to_send())
    return client, server
