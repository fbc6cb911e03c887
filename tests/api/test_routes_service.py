"""The api about itself, and what holds for every route."""

from __future__ import annotations

from typing import Any

import pytest

from hermesd.config import Config
from hermesd.config.sections import MetricsSection
from hermesd.core.jobtype import JobType
from hermesd.core.records import QueueStatus


async def test_the_root_leads_on(world: Any) -> None:
    """Name, version, role and links that work."""
    told = (await world.client.get("/")).json()
    assert (told["name"], told["role"]) == ("hermesd", "api")
    for path in told["links"].values():
        assert (await world.client.get(path)).status_code == 200, path


async def test_health_looks_at_nothing_else(world: Any) -> None:
    """200 in an outage too."""
    world.weather.store_down = True
    answer = await world.client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["api"] == "api-1"


async def test_ready_tells_what_is_missing(world: Any) -> None:
    """200 while store and queue serve, else 503 with the reason."""
    assert (await world.client.get("/ready")).json() == {
        "ready": True,
        "checks": {
            "store": {"ok": True, "reason": ""},
            "queue": {"ok": True, "reason": "", "rung": "store"},
        },
    }
    world.weather.store_down = True
    world.weather.queue = QueueStatus(serving=False, reason="broker away")
    answer = await world.client.get("/ready")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    checks = answer.json()["checks"]
    assert (checks["store"]["reason"], checks["queue"]["reason"]) == (
        "the disk is full",
        "broker away",
    )


async def test_stats_count_from_memory(world: Any) -> None:
    """Jobs by state, waiting ones by queue and priority, and what happened since the start."""
    await world.submit(priority=7)
    await world.submit()
    await world.client.delete(f"/jobs/{(await world.submit())['id']}")
    told = (await world.client.get("/stats")).json()
    assert told["jobs"]["queued"] == 2
    assert told["waiting"] == {
        "total": 2,
        "by_queue": {"default": 2},
        "by_priority": {"7": 1, "3": 1},
    }
    assert (told["since_start"]["submitted"], told["since_start"]["cancelled"]) == (3, 1)
    assert (told["rung"], told["api"]) == ("store", "api-1")
    assert told["uptime_seconds"] >= 0


async def test_nothing_recent_has_no_percentiles(world: Any) -> None:
    """A job that was only submitted is counted; nothing started, nothing ended."""
    await world.submit()
    stats = (await world.client.get("/stats")).json()
    recent = stats["recent"]
    assert (stats["recent_fleet"]["window_seconds"], stats["recent_fleet"]["wait"]) == (0, None)
    assert recent["all"] == recent["types"]["any"]
    assert (recent["all"]["submitted"], recent["all"]["started"]) == (1, 0)
    assert (recent["all"]["wait"], recent["all"]["run"]) == (None, None)


async def test_metrics_can_be_switched_off(opened: Any) -> None:
    """404 that names the switch, as a worker does."""
    config = Config(metrics=MetricsSection(enabled=False))
    async with opened(config) as world:
        answer = await world.client.get("/metrics")
    assert (answer.status_code, "metrics.enabled" in answer.json()["detail"]) == (404, True)


async def test_types_are_shown_with_their_schemas(world: Any) -> None:
    """Name, kind, schema and who told of it."""
    told = (await world.client.get("/types")).json()
    assert told["count"] == 2
    mail = next(each for each in told["types"] if each["name"] == "email.send")
    assert (mail["kind"], mail["source"], mail["workers"]) == ("async", "api", 0)
    assert mail["schema"]["required"] == ["to"]


async def test_a_fleet_without_workers_is_empty(world: Any) -> None:
    """The shape is there all the same."""
    told = (await world.client.get("/workers")).json()
    assert told == {
        "count": 0,
        "total_slots": 0,
        "total_workers": 0,
        "machines": {},
        "workers": [],
    }


async def test_recent_events_are_listed(world: Any) -> None:
    """Newest first, filtered by kind and job."""
    first = await world.submit()
    second = await world.submit()
    told = (await world.client.get("/events?kind=queued")).json()
    assert [event["job_id"] for event in told["events"]] == [second["id"], first["id"]]
    assert told["count"] == 2
    assert (await world.client.get("/events?kind=nonsense")).status_code == 422


async def test_metrics_are_prometheus_text(world: Any) -> None:
    """With every invariant at 0."""
    answer = await world.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["content-type"].count("charset") == 1
    assert 'hermesd_invariant_breaches_total{invariant="lost-job"} 0.0' in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", "/jobs", 405, "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/jobs", 405, "GET, HEAD, OPTIONS, POST"),
        ("PATCH", "/jobs/x", 405, "DELETE, GET, HEAD, OPTIONS"),
        ("GET", "/jobs/batch", 405, "OPTIONS, POST"),
        ("GET", "/dlq/purge", 405, "OPTIONS, POST"),
        ("POST", "/health", 405, "GET, HEAD, OPTIONS"),
        ("BREW", "/jobs", 405, "GET, HEAD, OPTIONS, POST"),
        ("GET", "/nowhere", 404, None),
        ("POST", "/nowhere", 404, None),
        ("GET", "/jobs/a/b/c", 404, None),
        ("GET", "/..%2fetc", 404, None),
    ],
)
async def test_paths_and_methods_that_are_not_there_are_problems(
    world: Any, method: str, path: str, status: int, allow: str | None
) -> None:
    """404 and 405 as problem+json, 405 with Allow."""
    answer = await world.client.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_head_is_get_without_a_body(world: Any) -> None:
    """Status and headers are those of the GET, for errors too."""
    job = await world.submit()
    for path in (f"/jobs/{job['id']}", "/jobs", "/nowhere", "/metrics"):
        full = await world.client.get(path)
        head = await world.client.head(path)
        assert (head.status_code, head.content) == (full.status_code, b"")
        assert head.headers["content-type"] == full.headers["content-type"]


async def test_options_names_the_methods(world: Any) -> None:
    """204 with the Allow that a 405 has; 404 where nothing is."""
    for path, allow in (
        ("/jobs", "GET, HEAD, OPTIONS, POST"),
        ("/jobs/", "GET, HEAD, OPTIONS, POST"),
        ("/jobs/batch", "OPTIONS, POST"),
        ("/jobs/some-id", "DELETE, GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
    ):
        answer = await world.client.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, allow)
    assert (await world.client.options("/nowhere")).status_code == 404


async def test_no_answer_may_be_stored(world: Any) -> None:
    """Everything here is of the moment."""
    for path in ("/jobs", "/stats", "/openapi.json", "/metrics", "/nowhere"):
        assert (await world.client.get(path)).headers["cache-control"] == "no-store", path


@pytest.mark.parametrize("path", ["/workers", "/types", "/stats", "/jobs/x", "/", "/events"])
async def test_unknown_query_parameters_are_refused(world: Any, path: str) -> None:
    """A misspelt parameter is told, and not ignored."""
    answer = await world.client.get(f"{path}?nonsense=1")
    assert answer.status_code == 422
    assert "nonsense" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"Origin": "http://api.test:8081"}, False),
        ({"Origin": "http://API.test:8081"}, False),
        ({"Origin": "https://ops.test"}, False),
        ({"Origin": "https://ops.test", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://api.test"}, True),
        ({"Origin": "http://evil.test"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": ""}, True),
        ({"Origin": "http://ops.test"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
    ],
)
async def test_pages_of_other_origins_change_nothing(
    tight: Any, headers: dict[str, str], refused: bool
) -> None:
    """403 for every change of state, hot route or not; reading is not affected."""
    answer = await tight.client.post("/jobs", json={"type": "any"}, headers=headers)
    assert answer.status_code == (403 if refused else 202), answer.text
    order = {"all": True, "dry_run": True}
    answer = await tight.client.post("/dlq/purge", json=order, headers=headers)
    assert answer.status_code == (403 if refused else 200)
    if refused:
        assert answer.json()["type"] == "urn:hermesd:problem:foreign-origin"
    assert (await tight.client.get("/jobs", headers=headers)).status_code == 200


async def test_the_document_describes_every_route(world: Any) -> None:
    """OpenAPI 3.1 whose references all resolve."""
    document = (await world.client.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {
        *("/", "/jobs", "/jobs/batch", "/jobs/{job_id}", "/jobs/{job_id}/events"),
        *("/jobs/{job_id}/logs", "/jobs/{job_id}/retry", "/workers", "/types", "/events"),
        *("/events/stream", "/events/summary", "/stats/history", "/dlq"),
        *("/workers/{worker_id}/pause", "/workers/{worker_id}/resume", "/workers/pause"),
        *("/workers/{worker_id}/drain", "/workers/{worker_id}/forecast", "/workers/resume"),
        *("/workers/drain", "/queues", "/queues/{name}"),
        *("/queues/{name}/pause", "/queues/{name}/resume"),
        *("/schedules", "/schedules/{name}"),
        *("/schedules/{name}/pause", "/schedules/{name}/resume", "/schedules/{name}/trigger"),
        *("/dlq/groups", "/jobs/retry", "/jobs/cancel", "/jobs/{job_id}/attempts"),
        *("/dlq/requeue", "/dlq/purge", "/health", "/ready", "/stats", "/metrics"),
        "/openapi.json",
    }
    assert set(document["paths"]["/jobs"]) == {"get", "post"}
    names = set(document["components"]["schemas"])
    inner = {"#/components/schemas/Payload_email.send/$defs/address"}
    assert _references(document) <= {f"#/components/schemas/{name}" for name in names} | inner
    limit = next(
        each for each in document["paths"]["/jobs"]["get"]["parameters"] if each["name"] == "limit"
    )
    assert limit["schema"]["maximum"] == 500


async def test_the_document_follows_the_types(world: Any) -> None:
    """Each known type's payload is a component, and an alternative of the submit's body."""
    newcomer = JobType(name="pdf.make.v2", kind="async", schema={"type": "string"})  # type: ignore[arg-type]  # a plain string serves
    await world.services.catalogue.learn([newcomer], "worker-1")
    schemas = (await world.client.get("/openapi.json")).json()["components"]["schemas"]
    assert schemas["Payload_pdf.make.v2"]["type"] == "string"
    titles = [each["title"] for each in schemas["JobRequest"]["oneOf"]]
    assert titles == ["any", "email.send", "pdf.make.v2"]


async def test_the_document_tells_good_submits_from_bad(world: Any) -> None:
    """A validator that reads only the document agrees with the api."""
    import jsonschema_rs

    document = (await world.client.get("/openapi.json")).json()
    validator = jsonschema_rs.Draft202012Validator(
        {"$ref": "#/components/schemas/JobRequest", "components": document["components"]},
        offline=True,
        validate_formats=True,
    )
    for body in (
        {"type": "email.send", "payload": {"to": "a@example.com", "copies": ["abc"]}},
        {"type": "email.send", "payload": {"to": "a@example.com", "copies": ["x"]}},
        {"type": "email.send", "payload": {}},
        {"type": "any", "payload": [1]},
        {"type": "nope"},
        {"type": "any", "extra": 1},
    ):
        accepted = (await world.client.post("/jobs", json=body)).status_code == 202
        assert validator.is_valid(body) == accepted, body


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    if isinstance(value, list):
        return set().union(*map(_references, value))
    return set()
