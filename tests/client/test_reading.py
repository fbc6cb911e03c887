"""Whatever comes back is an answer or one of the client's own faults."""

from __future__ import annotations

import contextlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hermesd.client import Stats, calls
from hermesd.client.faults import ClientError
from hermesd.client.feed import Feed
from hermesd.client.reading import RawAnswer, read
from hermesd.client.retry import RetryPolicy

STATUSES = st.integers(100, 599)
CONTENT_TYPES = st.sampled_from(["application/json", "application/problem+json", "text/html", ""])
VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
PROBLEMS = st.dictionaries(
    st.sampled_from(["type", "title", "status", "detail", "errors", "known", "x"]), VALUES
)
BODIES = st.binary() | (VALUES | PROBLEMS).map(msgspec.json.encode)


@given(STATUSES, CONTENT_TYPES, BODIES, st.text(max_size=40))
def test_reading_raises_nothing_foreign(
    status: int, content_type: str, body: bytes, retry_after: str
) -> None:
    """Any status with any body."""
    headers = {"content-type": content_type, "retry-after": retry_after, "date": retry_after}
    with contextlib.suppress(ClientError):
        assert isinstance(read(calls.stats(), RawAnswer(status, headers, body)), Stats)


def test_a_body_nested_without_bound_is_a_bad_answer() -> None:
    """It does not exhaust the stack."""
    deep = b"[" * 100_000
    for status in (200, 400):
        raw = RawAnswer(status, {"content-type": "application/problem+json"}, deep)
        with contextlib.suppress(ClientError):
            read(calls.stats(), raw)


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_a_stream_of_garbage_raises_nothing_foreign(chunks: list[bytes]) -> None:
    """Any bytes where events were expected."""
    feed = Feed(RetryPolicy())
    with contextlib.suppress(ClientError):
        for chunk in chunks:
            feed.take(chunk)


def test_a_stream_cannot_ask_for_an_endless_pause() -> None:
    """`retry:` is bounded, however many digits it has."""
    feed = Feed(RetryPolicy())
    feed.take(b"retry: " + b"9" * 5000 + b"\n\n")
    assert feed.pause_after(feed.ended()) == 60.0
