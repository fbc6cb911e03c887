"""Schedules over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from hermesd.config import Config

DAILY = {"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "type": "any"}


async def make(world: Any, **members: Any) -> dict[str, Any]:
    """The schedule as the answer shows it."""
    answer = await world.client.post("/schedules", json=DAILY | members)
    assert answer.status_code == 201, answer.text
    schedule: dict[str, Any] = answer.json()["schedule"]
    return schedule


async def shown(world: Any, name: str = "nightly", query: str = "") -> dict[str, Any]:
    """The schedule as it is now."""
    answer = await world.client.get(f"/schedules/{name}{query}")
    assert answer.status_code == 200, answer.text
    schedule: dict[str, Any] = answer.json()["schedule"]
    return schedule


async def test_a_schedule_is_made_and_shown_with_its_next_fires(world: Any) -> None:
    """Five of them; what was not said has its default."""
    made = await make(world, payload={"n": 1.0}, labels={"team": "ops"})
    assert made == await shown(world)
    assert (made["cron"], made["timezone"], made["type"]) == ("30 2 * * *", "Europe/Berlin", "any")
    assert (made["payload"], made["labels"]) == ({"n": 1.0}, {"team": "ops"})
    assert (made["queue"], made["priority"], made["timeout"]) == (None, None, None)
    assert (made["misfire"], made["overlap"], made["jitter_seconds"]) == ("run-once", "allow", 0)
    assert (made["source"], made["paused"], made["revision"]) == ("api", False, 1)
    times = [datetime.fromisoformat(time) for time in made["next_fires"]]
    assert len(times) == 5
    assert made["next_fire"] == made["next_fires"][0]
    assert {(time.hour, time.minute) for time in times} <= {(0, 30), (1, 30)}
    assert made["last_fires"] == []


async def test_so_many_fires_are_shown_as_are_asked_for(world: Any) -> None:
    """Of the next and of the last ones."""
    await make(world)
    for _ in range(3):
        await world.client.post("/schedules/nightly/trigger")
    found = await shown(world, query="?next=20&last=2")
    assert (len(found["next_fires"]), len(found["last_fires"])) == (20, 2)
    assert (await world.client.get("/schedules/nightly?next=101")).status_code == 422


async def test_all_schedules_are_listed_by_name(world: Any) -> None:
    """With their next fire."""
    for name in ("b", "a"):
        await make(world, name=name)
    listed = (await world.client.get("/schedules")).json()
    assert (listed["count"], [one["name"] for one in listed["schedules"]]) == (2, ["a", "b"])
    assert all(one["next_fire"] for one in listed["schedules"])
    assert (await world.client.get("/schedules?state=x")).status_code == 422


async def test_a_second_schedule_of_a_name_is_refused(world: Any) -> None:
    """Unless it is put in place of the first."""
    await make(world)
    answer = await world.client.post("/schedules", json=DAILY)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:hermesd:problem:conflict")
    body = {"cron": "@hourly", "type": "any"}
    put = await world.client.put("/schedules/nightly", json=body)
    assert (put.status_code, put.json()["schedule"]["revision"]) == (200, 2)
    fresh = await world.client.put("/schedules/other", json=body)
    assert (fresh.status_code, fresh.json()["schedule"]["revision"]) == (201, 1)


async def test_what_somebody_else_has_changed_meanwhile_is_not_overwritten(world: Any) -> None:
    """If-Match names the ETag of what was read: 412 when it is another one, or none."""
    made = await make(world)
    read = await world.client.get("/schedules/nightly?next=1")
    tag = {"if-match": read.headers["etag"]}
    assert read.headers["etag"] == made["etag"]
    await world.client.post("/schedules/nightly/trigger")
    await world.client.post("/schedules/nightly/pause")
    body = {"cron": "@hourly", "type": "any"}
    put = await world.client.put("/schedules/nightly", json=body, headers=tag)
    assert (put.status_code, put.json()["schedule"]["paused"]) == (200, True)
    now = put.json()["schedule"]["etag"]
    for method, options in (("PUT", {"json": body | {"cron": "@daily"}}), ("DELETE", {})):
        late = await world.client.request(method, "/schedules/nightly", headers=tag, **options)
        problem = late.json()
        assert (late.status_code, problem["type"], problem["etag"]) == (
            412,
            "urn:hermesd:problem:changed-meanwhile",
            now,
        )
    assert (await shown(world))["cron"] == "@hourly"
    several = [("if-match", '"x", "y"'), ("if-match", now)]
    gone = await world.client.delete("/schedules/nightly", headers=several)
    assert gone.status_code == 200
    for given in (now, "*"):
        put = await world.client.put("/schedules/nightly", json=body, headers={"if-match": given})
        assert put.status_code == 412
    assert (await world.client.get("/schedules/nightly")).status_code == 404


@pytest.mark.parametrize(
    ("members", "status", "slug", "told"),
    [
        ({"cron": "* * *"}, 422, "invalid-value", "3 fields"),
        ({"cron": "0 0 30 2 *"}, 422, "invalid-value", "Bad day-of-month"),
        ({"timezone": "Mars/Base"}, 422, "invalid-value", "no time zone"),
        ({"type": "nobody"}, 422, "unknown-type", "nobody"),
        ({"queue": "nowhere"}, 422, "unknown-queue", "nowhere"),
        ({"type": "email.send", "payload": {}}, 422, "invalid-payload", "to"),
        ({"priority": 11}, 422, "invalid-value", "0 to 10"),
        ({"timeout": -1}, 422, "invalid-value", "timeout"),
        ({"jitter_seconds": -1}, 422, "invalid-value", "jitter_seconds"),
        ({"misfire": "often"}, 422, "invalid-value", "misfire"),
        ({"name": "a/b"}, 422, "invalid-value", "schedule's name"),
        ({"labels": {"schedule": "x"}}, 422, "invalid-value", "set by the schedule"),
        ({"every": 5}, 422, "invalid-value", "every"),
        ({"cron": None}, 422, "invalid-value", "cron"),
    ],
)
async def test_what_would_never_fire_is_refused_at_once(
    world: Any, members: dict[str, Any], status: int, slug: str, told: str
) -> None:
    """As a submit of its job would be; nothing is kept."""
    answer = await world.client.post("/schedules", json=DAILY | members)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"urn:hermesd:problem:{slug}")
    assert told in problem["detail"] + str(problem.get("errors"))
    assert (await world.client.get("/schedules")).json()["count"] == 0


async def test_what_is_not_there_is_told(world: Any) -> None:
    """Whatever is asked of it; a body that is no JSON is none."""
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/trigger"),
    ):
        answer = await world.client.request(method, f"/schedules/none{path}")
        assert (answer.status_code, answer.json()["detail"]) == (
            404,
            "there is no schedule 'none'",
        )
    assert (await world.client.post("/schedules", content=b"{")).status_code == 400
    assert (await world.client.put("/schedules/a b", json={})).status_code == 422


async def test_a_triggered_schedule_submits_its_job_now(world: Any) -> None:
    """Its own times stay, and the fire is among the last ones."""
    before = await make(world, payload={"n": 1}, labels={"team": "ops"}, priority="high")
    answer = await world.client.post("/schedules/nightly/trigger")
    assert answer.status_code == 202
    job = answer.json()["job"]
    assert (job["type"], job["state"], job["priority"]) == ("any", "queued", 7)
    assert job["payload"] == {"n": 1}
    found = await shown(world)
    assert found["next_fires"] == before["next_fires"]
    (fire,) = found["last_fires"]
    assert (fire["kind"], fire["job_id"]) == ("triggered", job["id"])
    assert job["labels"] == {"team": "ops", "schedule": "nightly", "fire_time": fire["time"]}
    found = await world.client.get("/jobs?label=schedule:nightly")
    assert [one["id"] for one in found.json()["jobs"]] == [job["id"]]
    metrics = (await world.client.get("/metrics")).text
    assert 'hermesd_schedule_fires_total{fate="triggered"} 1.0' in metrics


async def test_a_trigger_respects_the_depth_of_the_queue(tight: Any) -> None:
    """As a submit: 429."""
    await tight.client.post("/schedules", json=DAILY)
    for status in (202, 202, 429):
        answer = await tight.client.post("/schedules/nightly/trigger")
        assert answer.status_code == status


async def test_a_paused_schedule_has_no_next_fire(world: Any) -> None:
    """It can be changed and triggered; resumed, it goes on from then."""
    made = await make(world)
    for _ in range(2):  # to pause what is paused changes nothing
        paused = (await world.client.post("/schedules/nightly/pause")).json()["schedule"]
        assert (paused["paused"], paused["next_fire"], paused["next_fires"]) == (True, None, [])
        assert paused["revision"] == 2
    body = {"cron": "@daily", "type": "any"}
    put = (await world.client.put("/schedules/nightly", json=body)).json()["schedule"]
    assert (put["paused"], put["next_fires"]) == (True, [])
    assert (await world.client.post("/schedules/nightly/trigger")).status_code == 202
    resumed = (await world.client.post("/schedules/nightly/resume")).json()["schedule"]
    assert (resumed["paused"], len(resumed["next_fires"])) == (False, 5)
    assert resumed["next_fires"] != made["next_fires"]
    assert resumed == (await world.client.post("/schedules/nightly/resume")).json()["schedule"]


async def test_a_deleted_schedule_is_gone_and_its_jobs_stay(world: Any) -> None:
    """The answer shows it as it was."""
    await make(world)
    job = (await world.client.post("/schedules/nightly/trigger")).json()["job"]
    answer = await world.client.delete("/schedules/nightly")
    assert (answer.status_code, answer.json()["schedule"]["name"]) == (200, "nightly")
    assert (await world.client.get("/schedules/nightly")).status_code == 404
    assert (await world.client.get(f"/jobs/{job['id']}")).status_code == 200


def configured(**schedules: Any) -> Config:
    """A configuration with schedules."""
    return msgspec.convert({"schedules": schedules}, Config)


async def test_a_schedule_of_the_configuration_can_only_be_paused_and_triggered(
    opened: Any,
) -> None:
    """What else is asked is a 409 that says where to do it."""
    async with opened(configured(tick={"cron": "@hourly", "type": "any"})) as world:
        assert (await shown(world, "tick"))["source"] == "config"
        body = {"cron": "@daily", "type": "any"}
        for method, options in (("PUT", {"json": body}), ("DELETE", {})):
            answer = await world.client.request(method, "/schedules/tick", **options)
            assert answer.status_code == 409
            assert "[schedules.tick]" in answer.json()["detail"]
        assert (await world.client.post("/schedules/tick/pause")).status_code == 200
        assert (await world.client.post("/schedules/tick/trigger")).status_code == 202
        assert (await world.client.post("/schedules/tick/resume")).status_code == 200
        assert (await shown(world, "tick"))["cron"] == "@hourly"


async def test_the_document_describes_the_routes(world: Any) -> None:
    """With their bodies."""
    document = (await world.client.get("/openapi.json")).json()
    assert set(document["paths"]["/schedules/{name}"]) == {"get", "put", "delete"}
    for method in ("put", "delete"):
        operation = document["paths"]["/schedules/{name}"][method]
        assert "If-Match" in [one["name"] for one in operation["parameters"]]
        assert "412" in operation["responses"]
    body = document["components"]["schemas"]["NewSchedule"]
    assert set(body["required"]) == {"name", "cron", "type"}
    answer = await world.client.request("OPTIONS", "/schedules/a")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
