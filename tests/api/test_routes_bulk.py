"""Orders to many jobs at once over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

WHOLE = {"skipped": 0, "cursor": None, "held_back": False}


async def state_of(world: Any, job_id: str) -> str:
    """The state of a job."""
    return str((await world.store.reader.get(job_id)).state)


async def test_failed_jobs_are_retried_by_filter(world: Any) -> None:
    """Without a state the failed ones are meant; several values of a member are ored."""
    mine = (await world.submit(labels={"tenant": "t1"}, priority=7))["id"]
    other = (await world.submit(labels={"tenant": "t2"}))["id"]
    for job_id in (mine, other):
        await world.fail(job_id)
    wanted = {"label": "tenant=t1", "type": ["any", "email.send"], "priority": [7, 10]}
    answer = await world.client.post("/jobs/retry", json={"filter": wanted, "dry_run": True})
    assert answer.json() == {"matched": 1, "changed": 0, **WHOLE}
    answer = await world.client.post("/jobs/retry", json={"filter": wanted})
    assert (answer.status_code, answer.json()) == (200, {"matched": 1, "changed": 1, **WHOLE})
    assert [await state_of(world, each) for each in (mine, other)] == ["queued", "failed"]


async def test_live_jobs_are_cancelled(world: Any) -> None:
    """By state, by id, and all of them; the counts in memory follow."""
    ids = [(await world.submit())["id"] for _ in range(4)]
    await world.run(ids[0])
    answer = await world.client.post("/jobs/cancel", json={"filter": {"state": "running"}})
    assert answer.json() == {"matched": 1, "changed": 1, **WHOLE}
    answer = await world.client.post("/jobs/cancel", json={"ids": [ids[1], ids[1], "nope"]})
    assert answer.json() == {"matched": 1, "changed": 1, **WHOLE, "skipped": 1}
    answer = await world.client.post("/jobs/cancel", json={"all": True})
    assert answer.json() == {"matched": 3, "changed": 2, **WHOLE, "skipped": 1}
    assert [await state_of(world, each) for each in ids] == ["running", *["cancelled"] * 3]
    told = (await world.client.get("/events?kind=cancelled")).json()["events"]
    assert sorted(event["job_id"] for event in told) == sorted(ids[1:])


async def test_where_an_order_goes_on_is_answered(world: Any, monkeypatch: Any) -> None:
    """And taken back, until there is no more."""
    monkeypatch.setattr("hermesd.api.bulk.MAX_CHANGED", 1)
    monkeypatch.setattr("hermesd.api.bulk.CHUNK", 2)
    for _ in range(5):
        await world.submit()
    order: dict[str, Any] = {"all": True}
    changed = []
    while True:
        answer = (await world.client.post("/jobs/cancel", json=order)).json()
        changed.append(answer["changed"])
        if answer["cursor"] is None:
            break
        order["cursor"] = answer["cursor"]
    assert changed == [2, 2, 1]


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ({}, "exactly one"),
        ({"filter": {}}, "empty"),
        ({"ids": ["a"], "all": True}, "exactly one"),
        ({"all": True, "cursor": "x"}, "cursor"),
        ({"filter": {"state": "succeeded"}}, "succeeded"),
        ({"filter": {"state": ["done"]}}, "done"),
        ({"filter": {"priority": "high"}}, "priority"),
        ({"filter": {"text": ""}}, "text"),
        ({"filter": {"limit": 3}}, "limit"),
    ],
)
async def test_an_order_that_is_not_clear_is_refused(
    world: Any, order: dict[str, Any], named: str
) -> None:
    """422 that says what is wrong, and nothing happens to any job."""
    job_id = (await world.submit())["id"]
    for path in ("/jobs/retry", "/jobs/cancel"):
        answer = await world.client.post(path, json=order)
        assert answer.status_code == 422, answer.text
        assert named in answer.json()["detail"]
    assert await state_of(world, job_id) == "queued"
