"""What the client sends, and what it makes of the answers, over real sockets in each flavour."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hermesd.client import (
    ApiError,
    BadAnswer,
    Client,
    ConnectionFailed,
    NewJob,
    RejectedError,
    UnavailableError,
    UnknownOutcomeError,
    WaitTimeout,
)
from hermesd.core.errors import InvalidValue
from hermesd.core.states import State


def test_a_submit_carries_its_options_and_a_key(ask: Any, api: Any, job: Any) -> None:
    """Everything given is in the body, and a key was made for the header."""
    api.json({"job": job(state="running"), "routed": "direct", "worker_id": "w1"}, 202)
    answer = ask("submit", "email", {"to": "ada"}, queue="mail", priority="high", labels={"a": "b"})
    sent = api.requests[0]
    assert (sent.method, sent.path) == ("POST", "/jobs")
    assert sent.json == {
        "type": "email",
        "payload": {"to": "ada"},
        "queue": "mail",
        "priority": "high",
        "labels": {"a": "b"},
    }
    assert len(sent.headers["idempotency-key"]) == 36
    assert (answer.routed, answer.worker_id, answer.job.state) == ("direct", "w1", State.RUNNING)


def test_a_submit_keeps_the_given_key(ask: Any, api: Any, job: Any) -> None:
    """A key of the caller's own is sent as it is, and a repeat is told."""
    api.json({"job": job(), "routed": "queue", "note": "no worker", "repeated": True})
    answer = ask("submit", "email", idempotency_key="order-17")
    assert api.requests[0].headers["idempotency-key"] == "order-17"
    assert api.requests[0].json == {"type": "email"}
    assert answer.repeated


def test_a_batch_gives_every_item_a_key(ask: Any, api: Any) -> None:
    """Items without a key get different ones; the answer keeps the order."""
    jobs = [{"id": "a", "routed": "direct", "worker_id": "w"}, {"id": "b", "routed": "queue"}]
    api.json({"count": 2, "direct": 1, "queued": 1, "repeated": 0, "jobs": jobs}, 202)
    items = [NewJob(type="a"), NewJob(type="b", idempotency_key="mine")]
    answer = ask("submit_batch", items)
    keys = [item["idempotency_key"] for item in api.requests[0].json["jobs"]]
    assert len(keys[0]) == 36
    assert keys[1] == "mine"
    assert [each.id for each in answer.jobs] == ["a", "b"]


def test_a_job_is_read_with_its_texts_untouched(ask: Any, api: Any, job: Any) -> None:
    """Payload and result can be had decoded or byte for byte, the times are aware."""
    text = msgspec.json.encode({"job": job(state="succeeded", result=None)})
    text = text.replace(b'"payload":{"to":"ada"}', b'"payload":{"n": 1e400}')
    api.text(200, text, content_type="application/json")
    found = ask("job", "j1")
    assert bytes(found.raw_payload) == b'{"n": 1e400}'
    assert found.result is None
    assert found.created_at == datetime(2026, 11, 21, 21, 48, 54, 123456, UTC)


def test_a_job_id_cannot_leave_its_place_in_the_path(ask: Any, api: Any, job: Any) -> None:
    """A slash or a question mark in an id is escaped."""
    api.json({"job": job()})
    ask("job", "a/b?c")
    assert api.requests[0].path == "/jobs/a%2Fb%3Fc"


def test_filters_become_query_parameters(ask: Any, api: Any) -> None:
    """Several values repeat the parameter, labels are pairs, times RFC 3339."""
    api.json({"jobs": [], "next_cursor": None})
    after = datetime(2026, 1, 1, tzinfo=UTC)
    ask("jobs", state=["queued", "running"], label={"k": "v"}, after=after, limit=7, cursor="c")
    assert api.requests[0].query == [
        ("state", "queued"),
        ("state", "running"),
        ("label", "k:v"),
        ("after", "2026-01-01T00:00:00+00:00"),
        ("cursor", "c"),
        ("limit", "7"),
    ]


def test_a_moment_without_a_zone_is_refused(ask: Any) -> None:
    """Nobody knows what such a time means."""
    with pytest.raises(InvalidValue, match="time zone"):
        ask("jobs", after=datetime(2026, 1, 1))  # that is the point


def test_iter_jobs_walks_all_pages(ask: Any, api: Any, job: Any) -> None:
    """The cursor of each page leads to the next, to the last."""
    api.json({"jobs": [job("a"), job("b")], "next_cursor": "x"})
    api.json({"jobs": [job("c")], "next_cursor": None})
    found = ask("iter_jobs", page_size=2, type="email")
    assert [each.id for each in found] == ["a", "b", "c"]
    assert api.requests[1].query == [("type", "email"), ("cursor", "x"), ("limit", "2")]


def test_iter_logs_goes_on_behind_the_last_line(ask: Any, api: Any) -> None:
    """Page by page, until there is no more for now."""
    line = {"time": "2026-11-21T21:48:54Z", "level": "info", "run": 1, "attempt": 2}
    api.json({"lines": [{**line, "number": 4, "line": "a"}], "next_after": 4, "dropped": 0})
    api.json({"lines": [{**line, "number": 9, "line": "b"}], "next_after": None, "dropped": 3})
    found = ask("iter_logs", "j1", after=3, page_size=1)
    assert [(each.number, each.line, each.attempt) for each in found] == [(4, "a", 2), (9, "b", 2)]
    assert {request.path for request in api.requests} == {"/jobs/j1/logs"}
    assert [dict(request.query)["after"] for request in api.requests] == ["3", "4"]


def test_wait_polls_until_the_run_has_ended(ask: Any, api: Any, job: Any) -> None:
    """An answer without an end is asked again, and each asks the api to hold it."""
    api.json({"job": job(state="running")})
    api.json({"job": job(state="succeeded", result={"ok": True})})
    ended = ask("wait", "j1", 30.0)
    assert ended.result == {"ok": True}
    assert api.requests[0].query == [("wait", "20.000")]


def test_wait_ends_in_a_timeout_that_has_the_job(ask: Any, api: Any, job: Any) -> None:
    """The last view is in the error."""
    api.json({"job": job(state="running")})
    with pytest.raises(WaitTimeout, match="still running") as caught:
        ask("wait", "j1", 0.0)
    assert caught.value.job.state is State.RUNNING


def test_the_rest_of_the_calls_reach_their_paths(ask: Any, api: Any, job: Any) -> None:
    """Method and path of each, and an answer of its own type."""
    event = {"time": "2026-11-21T21:48:54Z", "kind": "retry", "job_id": "j1", "job_type": "email"}
    worker = {"worker_id": "w", "slots": {"async": 2}, "free": {"async": 1}, "status": "busy"}
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any], Any, str]] = [
        ("events", ("j1",), {}, {"count": 1, "events": [event]}, "GET /jobs/j1/events"),
        ("logs", ("j1",), {}, {"lines": [], "dropped": 2}, "GET /jobs/j1/logs"),
        ("retry", ("j1",), {}, {"job": job()}, "POST /jobs/j1/retry"),
        ("cancel", ("j1",), {}, {"job": job(state="cancelled")}, "DELETE /jobs/j1"),
        ("workers", (), {}, {"count": 1, "workers": [worker]}, "GET /workers"),
        ("types", (), {}, {"count": 1, "types": [{"name": "email"}]}, "GET /types"),
        ("recent_events", (), {"kind": "retry"}, {"count": 1, "events": [event]}, "GET /events"),
        ("dlq", (), {"queue": "q"}, {"count": 1, "jobs": [job(state="failed")]}, "GET /dlq"),
        ("dlq_requeue", (), {"ids": ["j1"]}, {"matched": 1, "requeued": 1}, "POST /dlq/requeue"),
        ("dlq_purge", (), {"everything": True}, {"matched": 2, "purged": 2}, "POST /dlq/purge"),
        ("stats", (), {}, {"jobs": {"queued": 3}, "waiting": {"total": 3}}, "GET /stats"),
        ("health", (), {}, {"status": "ok", "version": "1"}, "GET /health"),
    ]
    for name, args, kwargs, answer, line in calls:
        api.json(answer)
        ask(name, *args, **kwargs)
        assert f"{api.requests[-1].method} {api.requests[-1].path}" == line


def test_a_selection_is_exactly_one_of_three_ways(ask: Any, api: Any) -> None:
    """Ids, a filter or all; anything else is refused before it is sent."""
    api.json({"matched": 3})
    ask("dlq_purge", dry_run=True, error_kind="timeout", label={"a": "b"})
    sent = api.requests[0].json
    assert sent == {"filter": {"error_kind": "timeout", "label": ["a:b"]}, "dry_run": True}
    for bad in ({}, {"ids": ["a"], "everything": True}, {"ids": ["a"], "type": "email"}):
        with pytest.raises(InvalidValue, match="exactly one"):
            ask("dlq_requeue", **bad)
    assert len(api.requests) == 1


def test_not_ready_is_an_answer(ask: Any, api: Any) -> None:
    """The 503 of /ready says why, and is not tried again."""
    api.json({"ready": False, "checks": {"store": {"ok": False, "reason": "locked"}}}, 503)
    answer = ask("ready")
    assert not answer.ready
    assert answer.checks["store"].reason == "locked"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, RejectedError),
        (409, RejectedError),
        (429, UnavailableError),
        (503, UnavailableError),
        (504, UnknownOutcomeError),
        (500, ApiError),
    ],
)
def test_a_problem_becomes_the_error_of_its_group(
    api: Any, status: int, kind: type[ApiError]
) -> None:
    """Slug, title, status, detail and the extra members are all there."""
    api.problem(status, "some-slug", "because", known=["a"], retry_after="7")
    with Client(api.url, retries=0) as client, pytest.raises(kind) as caught:
        client.submit("email", idempotency_key="k")
    fault = caught.value
    assert type(fault) is kind
    assert (fault.slug, fault.status, fault.detail) == ("some-slug", status, "because")
    assert fault.extra == {"known": ["a"]}
    assert fault.retry_after_seconds == 7.0
    assert fault.idempotency_key == "k"


def test_what_is_no_problem_document_is_an_error_all_the_same(ask: Any, api: Any) -> None:
    """A proxy's page still has a status."""
    api.text(403, b"<h1>no</h1>", content_type="text/html")
    with pytest.raises(RejectedError, match="Forbidden") as caught:
        ask("stats")
    assert caught.value.slug == "http-403"


def test_another_service_is_told_from_an_api(ask: Any, api: Any) -> None:
    """A 200 of something else, and a redirect, are bad answers."""
    api.text(200, b"hello", content_type="text/plain")
    with pytest.raises(BadAnswer, match="something else"):
        ask("stats")
    api.text(301, b"", location="https://example.org/")
    with pytest.raises(BadAnswer, match=r"example\.org"):
        ask("stats")


def test_a_compressed_answer_is_refused(ask: Any, api: Any) -> None:
    """It was not asked for, and could unfold to any size."""
    api.text(200, b"x", content_type="application/json", content_encoding="gzip")
    with pytest.raises(BadAnswer, match="encoding"):
        ask("stats")


def test_an_answer_without_bound_is_cut_off(ask: Any, api: Any) -> None:
    """The client reads no more than it is told to."""
    api.text(200, b" " * 100_000, content_type="application/json")
    with pytest.raises(BadAnswer, match="longer than 1000 bytes"):
        ask("stats", options={"max_answer_bytes": 1000})


def test_values_that_are_not_json_are_refused(ask: Any) -> None:
    """NaN would silently become null, a loop would never end."""
    loop: list[Any] = []
    loop.append(loop)
    for bad in (float("nan"), {"a": [float("inf")]}, object(), loop):
        with pytest.raises(InvalidValue):
            ask("submit", "email", bad)


@pytest.mark.parametrize("key", ["a\nb", "ä", " a", "k" * 256])
def test_a_key_that_no_header_can_carry_is_refused(ask: Any, key: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidValue, match="idempotency key"):
        ask("submit", "email", idempotency_key=key)


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://a", "", "http://", "http://a:port"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    """At once, not at the first call."""
    with pytest.raises(InvalidValue):
        Client(url)


def test_a_proxy_setting_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is the caller's too."""
    monkeypatch.setenv("HTTP_PROXY", "nonsense://x")
    with pytest.raises(InvalidValue, match="proxy"):
        Client()


def test_a_refused_connection_surely_sent_nothing(unused_port: int) -> None:
    """`sent` tells the caller that nothing can have happened."""
    client = Client(f"http://127.0.0.1:{unused_port}", retries=1)
    with client, pytest.raises(ConnectionFailed, match="cannot reach") as caught:
        client.stats()
    assert not caught.value.sent


def test_a_submit_for_later_says_when(ask: Any, api: Any, job: Any) -> None:
    """An aware time goes out in RFC 3339; one without a zone is refused, since nobody knows it."""
    api.json({"job": job(state="scheduled"), "routed": "scheduled"}, 202)
    when = datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert ask("submit", "email", run_at=when).routed == "scheduled"
    assert api.requests[0].json == {"type": "email", "run_at": "2030-01-31T12:00:00Z"}
    with pytest.raises(InvalidValue, match="zone"):
        ask("submit", "email", run_at=when.replace(tzinfo=None))
