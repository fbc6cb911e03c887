"""Calls about workers and queues, in each flavour of the client."""

from __future__ import annotations

from typing import Any

import pytest

from hermesd.client import RejectedError
from hermesd.core.errors import InvalidValue

QUEUE = {"name": "bulk", "paused": True, "waiting": 3, "by_priority": {"3": 3}, "reason": "why"}
ORDERED = {"taken": True, "workers": [{"worker_id": "w1", "status": "paused", "taken": True}]}


@pytest.mark.parametrize("kind", ["pause", "resume", "drain"])
def test_a_worker_is_ordered(ask: Any, api: Any, kind: str) -> None:
    """By its id in the path; an order may be sent twice."""
    api.problem(503, "unavailable", retry_after="0")
    api.json(ORDERED)
    answer = ask(f"{kind}_worker", "w/1", reason="why")
    assert {sent.path for sent in api.requests} == {f"/workers/w%2F1/{kind}"}
    assert api.requests[1].json == {"reason": "why"}
    assert (answer.taken, answer.workers[0].status) == (True, "paused")


def test_many_workers_are_ordered(ask: Any, api: Any) -> None:
    """By what they are."""
    api.json(ORDERED)
    ask("order_workers", "drain", {"label": {"zone": "a"}}, at_once=True, by="ada")
    assert api.requests[0].path == "/workers/drain"
    assert api.requests[0].json == {"label": {"zone": "a"}, "by": "ada", "at_once": True}
    api.json(ORDERED)
    ask("order_workers", "pause", {"everything": True})
    assert api.requests[1].json == {"all": True}


def test_a_drain_is_forecast(ask: Any, api: Any) -> None:
    """Job by job."""
    job = {"id": "j1", "type": "t", "fate": "finishes", "started_at": "2026-11-21T21:48:54Z"}
    api.json({"worker_id": "w1", "finishes": 1, "jobs": [job]})
    forecast = ask("drain_forecast", "w1")
    assert api.requests[0].path == "/workers/w1/forecast"
    assert (forecast.finishes, forecast.jobs[0].fate) == (1, "finishes")


def test_queues_are_read_and_ordered(ask: Any, api: Any) -> None:
    """All, one, and its pause."""
    api.json({"count": 1, "queues": [QUEUE]})
    assert [queue.name for queue in ask("queues").queues] == ["bulk"]
    for method in ("queue", "pause_queue", "resume_queue"):
        api.json({"queue": QUEUE})
        assert ask(method, "bulk").waiting == 3
    assert [sent.path for sent in api.requests[1:]] == [
        "/queues/bulk",
        "/queues/bulk/pause",
        "/queues/bulk/resume",
    ]
    api.problem(404, "not-found")
    with pytest.raises(RejectedError):
        ask("queue", "x")


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_is_none_is_not_sent(ask: Any, name: str) -> None:
    """It would name another path."""
    for method in ("pause_worker", "queue"):
        with pytest.raises(InvalidValue):
            ask(method, name)
