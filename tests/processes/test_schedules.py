"""Schedules of a real daemon, over its store on disk."""

from __future__ import annotations

from collections import Counter
from typing import Any

from processes.client import Json, until
from processes.deployment import Deployment

TICK = {"HERMES_SCHEDULES__TICK__CRON": "@every 1s", "HERMES_SCHEDULES__TICK__TYPE": "note"}


async def shown(deployment: Deployment, name: str) -> Json:
    """A schedule, with its last 100 fires."""
    answer = await deployment.client.http.get(f"/schedules/{name}", params={"last": 100})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["schedule"]
    return found


async def fired(deployment: Deployment, name: str, count: int) -> list[Json]:
    """The fires that have a job, newest first, when there are at least so many."""

    async def look() -> list[Json] | None:
        fires = (await shown(deployment, name))["last_fires"]
        found = [fire for fire in fires if fire["job_id"]]
        return found if len(found) >= count else None

    found: Any = await until(look, f"{count} fires of {name}")
    return found  # type: ignore[no-any-return]  # until() has looked


async def test_a_schedule_of_the_configuration_runs_its_jobs(deployment: Deployment) -> None:
    """One a second, each run once; a pause outlives a restart, its end is at once."""
    first = await deployment.both(**TICK)
    await deployment.client.routable("both")
    fires = await fired(deployment, "tick", 3)
    for fire in fires[:3]:
        job = await deployment.client.ended(fire["job_id"])
        assert (job["state"], job["result"]) == ("succeeded", "noted")
        assert job["labels"] == {"schedule": "tick", "fire_time": fire["time"]}
    assert (await deployment.client.http.post("/schedules/tick/pause")).status_code == 200
    before = await shown(deployment, "tick")
    first.sigterm()
    assert await first.wait() == 0
    await deployment.both(**TICK)
    after = await shown(deployment, "tick")
    assert (after["paused"], after["last_fires"]) == (True, before["last_fires"])
    assert (await deployment.client.http.post("/schedules/tick/resume")).status_code == 200
    fires = await fired(deployment, "tick", len(before["last_fires"]) + 2)
    assert max(Counter(fire["time"] for fire in fires).values()) == 1
    deployment.history.check([fire["job_id"] for fire in fires[2:]])


async def test_schedules_are_made_changed_and_deleted_over_http(deployment: Deployment) -> None:
    """The daemon fires a new one at once, and a deleted one no more."""
    await deployment.both()
    await deployment.client.routable("both")
    http = deployment.client.http
    body = {"name": "often", "cron": "@every 1s", "type": "note", "jitter_seconds": 0.2}
    assert (await http.post("/schedules", json=body)).status_code == 201
    fires = await fired(deployment, "often", 2)
    assert (await deployment.client.ended(fires[0]["job_id"]))["state"] == "succeeded"
    put = await http.put("/schedules/often", json={"cron": "@yearly", "type": "note"})
    assert put.json()["schedule"]["revision"] == 2
    triggered = (await http.post("/schedules/often/trigger")).json()["job"]
    assert (await deployment.client.ended(triggered["id"]))["state"] == "succeeded"
    assert (await http.delete("/schedules/often")).status_code == 200
    assert (await http.get("/schedules")).json()["count"] == 0
    assert (await http.get(f"/jobs/{triggered['id']}")).status_code == 200
