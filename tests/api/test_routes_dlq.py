"""The dead-letter queue over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from hermesd.core.job import ErrorInfo
from hermesd.core.states import Move

WHOLE = {"skipped": 0, "cursor": None}
REQUEUED = {**WHOLE, "held_back": False}


async def dead(world: Any, number: int, **members: Any) -> list[str]:
    """So many failed jobs, oldest first."""
    jobs = []
    for _ in range(number):
        await trio.sleep(0.002)  # ids are in order by the millisecond
        jobs.append((await world.submit(**members))["id"])
        await world.fail(jobs[-1])
    return jobs


async def state_of(world: Any, job_id: str) -> str | None:
    """The state of a job, None where it is gone."""
    job = await world.store.reader.get(job_id)
    return None if job is None else str(job.state)


async def test_only_failed_jobs_are_listed(world: Any, autojump_clock: Any) -> None:
    """Newest first, in pages."""
    jobs = await dead(world, 3)
    await world.submit()
    page = (await world.client.get("/dlq?limit=2")).json()
    assert [job["id"] for job in page["jobs"]] == [jobs[2], jobs[1]]
    rest = (await world.client.get(f"/dlq?cursor={page['next_cursor']}")).json()
    assert ([job["id"] for job in rest["jobs"]], rest["next_cursor"]) == ([jobs[0]], None)


async def test_the_listing_can_be_filtered(world: Any) -> None:
    """By type, queue and kind of error."""
    await dead(world, 1)
    for query, found in (
        ("type=any", 1),
        ("type=email.send", 0),
        ("queue=default", 1),
        ("error_kind=error", 1),
        ("error_kind=crashed", 0),
    ):
        assert len((await world.client.get(f"/dlq?{query}")).json()["jobs"]) == found, query
    assert (await world.client.get("/dlq?state=queued")).status_code == 422


async def test_dead_letters_are_grouped_by_their_error(world: Any, autojump_clock: Any) -> None:
    """What differs in numbers only is one group, and the group's words choose its jobs."""
    for place, message in enumerate(("no room for 12 things", "no room for 7 things\nat all", "x")):
        await trio.sleep(0.002)
        job = await world.submit(labels={"n": str(place)})
        running = await world.run(job["id"])
        await world.end(running, Move.FAIL, error=ErrorInfo(kind="error", message=message))
    listed = (await world.client.get("/dlq/groups")).json()
    assert (listed["jobs"], listed["complete"], listed["more_groups"]) == (3, True, 0)
    first, second = listed["groups"]
    assert (first["error"], first["count"]) == ("no room for # things", 2)
    assert first["oldest"] < first["newest"] < second["newest"]
    assert (second["error"], second["newest_id"]) == ("x", job["id"])
    narrow = (await world.client.get("/dlq/groups?limit=1&label=n=2")).json()
    assert [group["error"] for group in narrow["groups"]] == ["x"]
    assert (await world.client.get("/dlq/groups?limit=1")).json()["more_groups"] == 1
    chosen = {name: first[name] for name in ("type", "error_kind", "error")}
    page = (await world.client.get("/dlq", params=chosen)).json()
    assert len(page["jobs"]) == 2
    answer = await world.client.post("/dlq/requeue", json={"filter": chosen})
    assert answer.json()["requeued"] == 2
    left = (await world.client.get("/dlq/groups")).json()["groups"]
    assert [group["error"] for group in left] == ["x"]


async def test_jobs_are_requeued_by_id(world: Any) -> None:
    """Only failed ones among them are."""
    jobs = await dead(world, 2)
    waiting = (await world.submit())["id"]
    answer = await world.client.post(
        "/dlq/requeue", json={"ids": [jobs[0], waiting, "nope", jobs[0]]}
    )
    assert answer.status_code == 200
    assert answer.json() == {"matched": 1, "requeued": 1, **REQUEUED, "skipped": 2}
    assert [await state_of(world, job) for job in jobs] == ["queued", "failed"]


async def test_jobs_are_requeued_by_filter(world: Any) -> None:
    """By label, type, queue, kind of error and time of creation."""
    [mine] = await dead(world, 1, labels={"tenant": "t1"})
    [other] = await dead(world, 1, labels={"tenant": "t2"})
    for wanted in (
        {"label": "tenant:t1"},
        {"label": ["tenant:t1"], "type": "any", "queue": "default", "error_kind": "error"},
    ):
        answer = await world.client.post("/dlq/requeue", json={"filter": wanted, "dry_run": True})
        assert answer.json() == {"matched": 1, "requeued": 0, **REQUEUED}
    answer = await world.client.post("/dlq/requeue", json={"filter": {"label": "tenant:t1"}})
    assert answer.json() == {"matched": 1, "requeued": 1, **REQUEUED}
    assert (await state_of(world, mine), await state_of(world, other)) == ("queued", "failed")
    early = {"filter": {"before": "2000-01-01T00:00:00Z"}}
    assert (await world.client.post("/dlq/purge", json=early)).json()["matched"] == 0


async def test_all_jobs_are_purged(world: Any) -> None:
    """They are gone for good; a dry run only counts them."""
    jobs = await dead(world, 3)
    order = {"all": True, "dry_run": True}
    answer = await world.client.post("/dlq/purge", json=order)
    assert answer.json() == {"matched": 3, "purged": 0, **WHOLE}
    answer = await world.client.post("/dlq/purge", json={"all": True})
    assert answer.json() == {"matched": 3, "purged": 3, **WHOLE}
    assert [await state_of(world, job) for job in jobs] == [None] * 3


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"all": False},
        {"ids": ["a"], "all": True},
        {"ids": ["a"], "filter": {"type": "any"}},
        {"filter": {}},
        {"filter": {"state": "queued"}},
        {"filter": {"label": "x"}},
        {"filter": {"before": "noon"}},
        {"ids": "a"},
        {"al": True},
    ],
)
async def test_an_order_that_is_not_clear_is_refused(world: Any, order: dict[str, Any]) -> None:
    """422, and nothing happens to any job."""
    [job] = await dead(world, 1)
    for path in ("/dlq/requeue", "/dlq/purge"):
        answer = await world.client.post(path, json=order)
        assert answer.status_code == 422, answer.text
    assert await state_of(world, job) == "failed"


async def test_an_order_that_is_no_json_is_malformed(world: Any) -> None:
    """400 with the position."""
    answer = await world.client.post("/dlq/purge", content=b'{"all":tru')
    assert (answer.status_code, answer.json()["position"]) == (400, 10)
