"""The event stream: parsed from any chunking, resumed after a break, left without a trace."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.client import BadAnswer, ConnectionFailed, UnavailableError
from hermesd.client.feed import MAX_EVENT_BYTES, MessageParser


def sse(seq: int, kind: str = "started") -> bytes:
    """One event as the api writes it."""
    event = {"time": "2026-11-21T21:48:54.1Z", "job_id": f"j{seq}", "job_type": "t", "kind": kind}
    return f"id: {seq}\ndata: {json.dumps(event)}\n\n".encode()


def test_events_come_with_their_numbers(follow: Any, api: Any) -> None:
    """While the stream stays open."""
    api.stream(b"retry: 10\n\n: heartbeat\n\n", sse(4), sse(5, "failed"), hold=True)
    first, second = follow(2)
    assert (first.seq, first.event.kind) == (4, "started")
    assert (second.seq, second.event.kind, second.gap) == (5, "failed", False)
    assert api.requests[0].headers["accept"] == "text/event-stream"


def test_a_broken_stream_is_resumed_where_it_broke(follow: Any, api: Any) -> None:
    """Last-Event-ID says where, and a gap is told."""
    api.stream(b"retry: 10\n\n", sse(7))
    api.stream(b"retry: 10\n\n", sse(10), hold=True)
    events = follow(2)
    assert [each.seq for each in events] == [7, 10]
    assert [each.gap for each in events] == [False, True]
    assert api.requests[1].headers["last-event-id"] == "7"


def test_a_reader_can_say_where_it_was(follow: Any, api: Any) -> None:
    """`after` is the first Last-Event-ID."""
    api.stream(sse(42), hold=True)
    follow(1, after=41)
    assert api.requests[0].headers["last-event-id"] == "41"


def test_a_lagging_reader_comes_back(follow: Any, api: Any) -> None:
    """The api dropped it; what it kept is replayed."""
    api.stream(b"retry: 10\n\n", sse(1), b"event: lagged\ndata: {}\n\n")
    api.stream(sse(2), hold=True)
    assert [each.seq for each in follow(2)] == [1, 2]


def test_too_many_streams_are_an_answer_in_the_end(follow: Any, api: Any) -> None:
    """A 503 is tried again as often as any call."""
    for _ in range(3):
        api.problem(503, "unavailable")
    with pytest.raises(UnavailableError):
        follow(1, retries=2)


def test_an_api_that_hangs_up_for_good_ends_the_stream(follow: Any, api: Any) -> None:
    """After as many tries as were allowed."""
    for _ in range(2):
        api.cut()
    with pytest.raises(ConnectionFailed):
        follow(1, retries=1)


def test_a_stream_of_something_else_is_refused(follow: Any, api: Any) -> None:
    """What is no event of hermesd is not passed on."""
    api.stream(b"data: hello\n\n", hold=True)
    with pytest.raises(BadAnswer):
        follow(1)


@given(st.lists(st.integers(1, 30), max_size=40))
def test_the_parser_does_not_mind_the_chunks(sizes: list[int]) -> None:
    """Any cutting of the bytes gives the same messages."""
    text = "retry: 5\r\n\r\n: c\nid: 1\ndata: ä\ndata: b\n\nevent: x\ndata:c\n\n".encode()
    whole = MessageParser().take(text)
    parser, found, rest = MessageParser(), [], text
    for size in sizes:
        found += parser.take(rest[:size])
        rest = rest[size:]
    found += parser.take(rest)
    assert found == whole
    assert [(each.event, each.data, each.last_id) for each in found] == [
        ("message", "ä\nb", "1"),
        ("x", "c", "1"),
    ]


@pytest.mark.parametrize("line", [b"data: " + b"x" * MAX_EVENT_BYTES, b"data: xxxxxxx\n" * 200_000])
def test_an_event_without_bound_is_refused(line: bytes) -> None:
    """One endless line, or endlessly many."""
    with pytest.raises(BadAnswer, match="longer than"):
        MessageParser().take(line)
