"""When a call is made again: over real sockets, and as a pure decision."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.client import (
    BadAnswer,
    Client,
    ClientError,
    ConnectionFailed,
    NewJob,
    RejectedError,
    UnavailableError,
    UnknownOutcomeError,
)
from hermesd.client.reading import retry_after_seconds
from hermesd.client.retry import Effort, RetryPolicy, pause_seconds, worth_repeating


def unavailable(retry_after: float | None = None) -> UnavailableError:
    """A 503."""
    return UnavailableError(
        "x", slug="unavailable", title="X", status=503, retry_after_seconds=retry_after
    )


def test_a_submit_is_repeated_after_a_503(ask: Any, api: Any, job: Any) -> None:
    """With the very same key and body."""
    api.problem(503, "store-unavailable")
    api.json({"job": job(), "routed": "queue"}, 202)
    ask("submit", "email", {"to": "ada"})
    first, second = api.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


def test_a_submit_is_repeated_when_its_answer_was_lost(ask: Any, api: Any, job: Any) -> None:
    """The connection breaks after the request was read; the same key makes one job of both."""
    api.cut()
    api.json({"job": job(), "routed": "queue", "repeated": True})
    assert ask("submit", "email").repeated
    first, second = api.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_a_submit_is_repeated_when_its_answer_was_cut_short(ask: Any, api: Any, job: Any) -> None:
    """Half an answer is no answer."""
    api.cut(b"HTTP/1.1 202 Accepted\r\ncontent-length: 500\r\n\r\n{")
    api.json({"job": job(), "routed": "queue"}, 202)
    ask("submit", "email")
    assert len(api.requests) == 2


def test_a_submit_is_repeated_after_an_unknown_outcome(ask: Any, api: Any, job: Any) -> None:
    """A 504 with a key is safe to repeat."""
    api.problem(504, "outcome-unknown")
    api.json({"job": job(), "routed": "queue"}, 202)
    ask("submit", "email")
    assert len(api.requests) == 2


def test_a_batch_keeps_its_keys_when_repeated(ask: Any, api: Any) -> None:
    """The keys are in the body, which is the same."""
    api.cut()
    api.json({"count": 1, "jobs": [{"id": "a", "routed": "queue"}]}, 202)
    ask("submit_batch", [NewJob(type="a")])
    assert api.requests[0].body == api.requests[1].body


def test_retry_after_is_honoured(api: Any, job: Any) -> None:
    """The next try comes no sooner than the api asked."""
    api.problem(429, "queue-full", retry_after="1")
    api.json({"job": job(), "routed": "queue"}, 202)
    began = time.monotonic()
    with Client(api.url) as client:
        client.submit("email")
    assert time.monotonic() - began >= 1.0


def test_a_retry_after_beyond_the_patience_ends_the_call_at_once(ask: Any, api: Any) -> None:
    """Waiting an hour is not this call's to decide."""
    api.problem(503, "unavailable", retry_after="3600")
    with pytest.raises(UnavailableError):
        ask("submit", "email")


def test_tries_are_counted(ask: Any, api: Any) -> None:
    """Two retries are three requests, and the last fault is the caller's."""
    for _ in range(3):
        api.problem(503, "unavailable")
    with pytest.raises(UnavailableError):
        ask("submit", "email", options={"retries": 2})
    assert len(api.requests) == 3


def test_a_refusal_is_not_repeated(ask: Any, api: Any) -> None:
    """A 422 would be a 422 again."""
    api.problem(422, "unknown-type", known=["email"])
    with pytest.raises(RejectedError):
        ask("submit", "emial")


@pytest.mark.parametrize(
    ("method", "kwargs"),
    [
        ("retry", {"job_id": "j1"}),
        ("cancel", {"job_id": "j1"}),
        ("dlq_requeue", {"everything": True}),
        ("dlq_purge", {"everything": True}),
    ],
)
def test_an_act_whose_fate_is_unknown_is_not_repeated(
    api: Any, method: str, kwargs: dict[str, Any]
) -> None:
    """Doing it twice would differ from doing it once."""
    with Client(api.url) as client:
        api.cut()
        with pytest.raises(ConnectionFailed) as caught:
            getattr(client, method)(**kwargs)
        assert caught.value.sent
        api.problem(504, "outcome-unknown")
        with pytest.raises(UnknownOutcomeError):
            getattr(client, method)(**kwargs)


def test_an_act_that_was_surely_not_done_is_repeated(ask: Any, api: Any, job: Any) -> None:
    """A 503 means: absent."""
    api.problem(503, "unavailable")
    api.json({"job": job()}, 202)
    ask("retry", "j1")
    assert len(api.requests) == 2


def test_worth_repeating_follows_what_may_have_happened() -> None:
    """The table of faults against repeatable calls."""
    unknown = UnknownOutcomeError("", slug="", title="", status=504)
    table: list[tuple[ClientError, bool, bool]] = [
        (ConnectionFailed("", sent=False), True, True),
        (ConnectionFailed("", sent=True), True, False),
        (unavailable(), True, True),
        (unknown, True, False),
        (RejectedError("", slug="", title="", status=404), False, False),
        (BadAnswer(""), False, False),
    ]
    for fault, when_repeatable, otherwise in table:
        assert worth_repeating(fault, repeatable=True) is when_repeatable
        assert worth_repeating(fault, repeatable=False) is otherwise


@given(
    failures=st.integers(1, 20),
    elapsed=st.floats(0, 100),
    chance=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(0, 100),
)
def test_every_pause_is_bounded_and_as_long_as_asked(
    failures: int, elapsed: float, chance: float, asked: float | None
) -> None:
    """Never past the count or the total, never below Retry-After, never negative."""
    policy = RetryPolicy(retries=5, total_seconds=60.0)
    pause = pause_seconds(policy, unavailable(asked), failures, elapsed, chance)
    if pause is None:
        longest = max(policy.backoff.max_seconds, (asked or 0) + 1)
        assert failures > 5 or elapsed + longest > 60.0
    else:
        assert failures <= 5
        assert pause >= (asked or 0)
        assert elapsed + pause <= 60.0


def test_an_effort_ends_when_its_time_is_over() -> None:
    """The clock decides, whatever the count says."""
    now = 0.0
    effort = Effort(
        RetryPolicy(retries=100, total_seconds=10.0),
        repeatable=True,
        monotonic=lambda: now,
        chance=lambda: 0.5,
    )
    assert effort.pause_after(unavailable()) > 0
    now = 9.99
    with pytest.raises(UnavailableError):
        effort.pause_after(unavailable())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 21:00:30 GMT"}, None),
        (
            {
                "retry-after": "Sat, 21 Nov 2026 21:00:30 GMT",
                "date": "Sat, 21 Nov 2026 21:00:00 GMT",
            },
            30.0,
        ),
    ],
)
def test_retry_after_is_read_in_both_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds, or a date against the answer's own (RFC 9110 section 10.2.3)."""
    assert retry_after_seconds(headers) == seconds
