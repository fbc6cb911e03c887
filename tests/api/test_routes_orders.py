"""The routes of queues and of orders to workers."""

from __future__ import annotations

from typing import Any

import pytest


async def test_a_queue_is_paused_and_resumed(world: Any) -> None:
    """Submits are accepted meanwhile, and say why they wait."""
    before = (await world.client.get("/queues/default")).json()["queue"]
    assert (before["paused"], before["paused_since"], before["waiting"]) == (False, None, 0)
    said = {"reason": "migration", "by": "ada@host"}
    answer = await world.client.post("/queues/default/pause", json=said)
    assert answer.status_code == 200
    paused = answer.json()["queue"]
    assert (paused["paused"], paused["reason"], paused["paused_by"]) == (
        True,
        "migration",
        "ada@host",
    )
    assert paused["paused_since"].endswith("Z")
    submit = await world.client.post("/jobs", json={"type": "any", "priority": 7})
    assert submit.json()["note"] == "queued: queue default is paused (migration)"
    listed = (await world.client.get("/queues")).json()
    assert listed["count"] == 1
    [queue] = listed["queues"]
    assert (queue["waiting"], queue["by_priority"], queue["rung"]) == (1, {"7": 1}, "store")
    assert queue["oldest_seconds"] >= 0
    answer = await world.client.post("/queues/default/resume")
    assert answer.json()["queue"]["paused"] is False
    kinds = [event.kind for event in world.services.ring.recent(10)]
    assert {"queue-paused", "queue-resumed"} <= set(kinds)


async def test_a_second_pause_gives_a_new_reason(world: Any) -> None:
    """And says still since when."""
    first = (await world.client.post("/queues/default/pause", json={"reason": "a"})).json()
    second = (await world.client.post("/queues/default/pause", json={"reason": "b"})).json()
    assert second["queue"]["reason"] == "b"
    assert second["queue"]["paused_since"] == first["queue"]["paused_since"]


@pytest.mark.parametrize("path", ["/queues/no", "/queues/no/pause", "/queues/no/resume"])
async def test_a_queue_that_is_not_declared_is_not_found(world: Any, path: str) -> None:
    """The answer names those that are."""
    method = "GET" if path.count("/") == 2 else "POST"
    answer = await world.client.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["known"] == ["default"]


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/queues/default/pause", b"{", 400, "truncated"),
        ("/queues/default/pause", b'{"why": "x"}', 422, "why"),
        ("/queues/default/pause", b'{"reason": "%s"}' % (b"x" * 501), 422, "reason"),
        ("/queues/default/pause", b'{"reason": "a\\u0000b"}', 422, "NUL"),
        ("/queues/default/pause?now=1", b"{}", 422, "now"),
        ("/workers/w1/pause", b'{"at_once": true}', 422, "at_once"),
        ("/workers/w1/pause", b"{}", 404, "no worker 'w1'"),
        ("/workers/w1/drain", b'{"at_once": true}', 404, "GET /workers"),
        ("/workers/pause", b"{}", 422, "exactly one way"),
        ("/workers/drain", b'{"all": true, "ids": ["w1"]}', 422, "exactly one way"),
        ("/workers/pause", b'{"all": true, "at_once": true}', 422, "drain only"),
        ("/workers/resume", b'{"machine": "m"}', 404, "no worker fits"),
    ],
)
async def test_bad_orders_are_refused(
    world: Any, path: str, body: bytes, status: int, told: str
) -> None:
    """With what is wrong, and what to do."""
    answer = await world.client.post(path, content=body)
    assert answer.status_code == status, answer.text
    assert told in answer.text


async def test_a_forecast_is_of_a_known_worker(world: Any) -> None:
    """Anybody else is not found."""
    answer = await world.client.get("/workers/w1/forecast")
    assert answer.status_code == 404


async def test_the_metrics_show_paused_queues(world: Any) -> None:
    """All that there are, by name."""
    await world.client.post("/queues/default/pause")
    assert 'hermesd_queue_paused{queue="default"} 1' in (await world.client.get("/metrics")).text
    await world.client.post("/queues/default/resume")
    assert 'hermesd_queue_paused{queue="default"} 0' in (await world.client.get("/metrics")).text
