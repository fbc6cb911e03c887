"""POST /jobs and POST /jobs/batch as clients see them, line by line of the contract."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from hermesd.core.job import Kind
from hermesd.core.jobtype import JobType, TypeDefaults
from hermesd.testing.listing import all_ids

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
JOB_MEMBERS = {
    *("id", "type", "payload", "queue", "priority", "state", "attempts", "max_attempts"),
    *("timeout", "labels", "run", "rung", "worker_id", "cancel_requested", "crash_count"),
    *("created_at", "updated_at", "run_at", "started_at", "finished_at", "result", "error"),
}


async def stored(world: Any) -> int:
    """How many jobs the store has."""
    return len(await all_ids(world.store.reader))


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem that an answer is, checked for its form."""
    told: dict[str, Any] = answer.json()
    assert (answer.status_code, told["type"]) == (status, f"urn:hermesd:problem:{slug}"), told
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    return told


async def test_a_submit_answers_with_the_whole_job(world: Any) -> None:
    """202 with every member of the view, a Location, and how the job was routed."""
    answer = await world.client.post(
        "/jobs",
        json={
            "type": "email.send",
            "payload": {"to": "a@example.com"},
            "priority": "high",
            "labels": {"tenant": "t1"},
            "timeout": 2.5,
            "max_attempts": 7,
        },
    )
    told = answer.json()
    job = told["job"]
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert told["routed"] == "queue"
    assert told["note"]
    assert "repeated" not in told
    assert set(job) == JOB_MEMBERS
    assert (job["priority"], job["timeout"], job["max_attempts"]) == (7, 2.5, 7)
    assert (job["payload"], job["labels"]) == ({"to": "a@example.com"}, {"tenant": "t1"})
    assert RFC3339.match(job["created_at"])
    assert (job["started_at"], job["result"], job["error"]) == (None, None, None)
    shown = (await world.client.get(answer.headers["location"])).json()["job"]
    told = ("progress", "progress_note", "progress_at", "logs_dropped")
    assert [shown.pop(name) for name in told] == [None, None, None, 0]
    assert shown == job


async def test_a_payload_comes_back_as_it_was_sent(world: Any) -> None:
    """The payload is kept byte for byte, big numbers and member order included."""
    text = '{"b":1e2,"a":123456789012345678901234567890,"ü":"\\u00e9"}'
    answer = await world.client.post("/jobs", content=f'{{"type":"any","payload":{text}}}')
    assert text.encode() in answer.content


async def test_a_repeated_key_answers_the_first_job(world: Any) -> None:
    """200 with the first job's id; header and member are the same thing."""
    body = {"type": "any", "payload": {"n": 1}}
    first = await world.client.post("/jobs", json=body, headers={"Idempotency-Key": "k1"})
    again = await world.client.post("/jobs", json=body | {"idempotency_key": "k1"})
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["repeated"] is True
    assert again.json()["job"]["id"] == first.json()["job"]["id"]
    assert await stored(world) == 1


async def test_a_key_used_with_another_body_is_a_conflict(world: Any) -> None:
    """409, and nothing is stored."""
    headers = {"Idempotency-Key": "k1"}
    await world.client.post("/jobs", json={"type": "any", "payload": 1}, headers=headers)
    answer = await world.client.post("/jobs", json={"type": "any", "payload": 2}, headers=headers)
    problem(answer, 409, "idempotency-conflict")
    assert await stored(world) == 1


async def test_two_keys_that_differ_are_refused(world: Any) -> None:
    """Header and member must agree."""
    answer = await world.client.post(
        "/jobs", json={"type": "any", "idempotency_key": "a"}, headers={"Idempotency-Key": "b"}
    )
    problem(answer, 422, "invalid-value")


async def test_an_unknown_type_names_the_known(world: Any) -> None:
    """422 with the names."""
    told = problem(await world.client.post("/jobs", json={"type": "nope"}), 422, "unknown-type")
    assert told["known"] == ["any", "email.send"]


async def test_an_unknown_queue_names_the_known(world: Any) -> None:
    """422 with the declared queues."""
    answer = await world.client.post("/jobs", json={"type": "any", "queue": "nope"})
    assert problem(answer, 422, "unknown-queue")["known"] == ["default"]


async def test_a_payload_against_its_schema_names_the_places(world: Any) -> None:
    """422 with a pointer and a reason for each fault."""
    answer = await world.client.post(
        "/jobs", json={"type": "email.send", "payload": {"to": 5, "copies": ["abc", "x"]}}
    )
    errors = problem(answer, 422, "invalid-payload")["errors"]
    assert {error["pointer"] for error in errors} == {"/to", "/copies/1"}
    assert all(error["reason"] for error in errors)
    assert await stored(world) == 0


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"priority": 1.5}, "/priority"),
        ({"max_attempts": "3"}, "/max_attempts"),
        ({"labels": {"a": 1}}, "/labels"),
        ({"labels": []}, "/labels"),
        ({"type": 7}, "/type"),
        ({"prioriti": 1}, "/prioriti"),
    ],
)
async def test_members_of_another_type_or_name_are_refused(
    world: Any, members: dict[str, Any], pointer: str
) -> None:
    """422 with the place of the member."""
    answer = await world.client.post("/jobs", json={"type": "any"} | members)
    [error] = problem(answer, 422, "invalid-value")["errors"]
    assert error["pointer"].startswith(pointer)


@pytest.mark.parametrize(
    "members",
    [
        {"priority": 11},
        {"priority": -1},
        {"priority": "urgent"},
        {"max_attempts": 0},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": 1e9},
        {"labels": {"": "x"}},
        {"labels": {str(n): "" for n in range(33)}},
        {"labels": {"a": "x" * 257}},
        {"type": ""},
        {"type": "a b"},
        {"type": "x" * 201},
        {"idempotency_key": ""},
    ],
)
async def test_values_outside_their_range_are_refused(world: Any, members: dict[str, Any]) -> None:
    """422, and nothing is stored."""
    answer = await world.client.post("/jobs", json={"type": "any"} | members)
    problem(answer, 422, "invalid-value")
    assert await stored(world) == 0


async def test_a_submit_without_a_type_says_so(world: Any) -> None:
    """422 that names the member."""
    told = problem(await world.client.post("/jobs", json={}), 422, "invalid-value")
    assert "type" in told["detail"]


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b"", 0),
        (b'{"type":', 8),
        (b'{"type":"any","payload":NaN}', 24),
        (b'{"type":"any","payload":-Infinity}', 25),
        (b'{"type":"any",}', 14),
        (b'{"type":"any"} x', 16),  # after what is too much
        (b'{"type":"any","payload":"\xff"}', 25),
        (b'\xef\xbb\xbf{"type":"any"}', 0),
    ],
)
async def test_malformed_json_is_told_with_its_position(
    world: Any, body: bytes, position: int
) -> None:
    """400 with the byte where reading ended, for NaN and invalid UTF-8 too."""
    told = problem(await world.client.post("/jobs", content=body), 400, "malformed-json")
    assert told["position"] == position
    assert f"byte {position}" in told["detail"]


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null"])
async def test_json_that_is_no_object_is_malformed(world: Any, body: bytes) -> None:
    """400: a body is an object."""
    problem(await world.client.post("/jobs", content=body), 400, "malformed-json")


@pytest.mark.parametrize("depth", [129, 900, 100_000])
async def test_deep_nesting_is_malformed(world: Any, depth: int) -> None:
    """400 at any depth past the limit, and the api lives on."""
    payload = b"[" * depth + b"]" * depth
    answer = await world.client.post("/jobs", content=b'{"type":"any","payload":%b}' % payload)
    problem(answer, 400, "malformed-json")
    await world.submit()


async def test_a_name_given_twice_counts_the_last_time(world: Any) -> None:
    """Duplicate names are taken as documented: RFC 8259 leaves them open."""
    answer = await world.client.post("/jobs", content=b'{"type":"nope","type":"any"}')
    assert answer.json()["job"]["type"] == "any"


async def test_an_oversized_payload_is_refused(tight: Any) -> None:
    """413 past max_payload_bytes."""
    answer = await tight.client.post("/jobs", json={"type": "any", "payload": "x" * 200})
    problem(answer, 413, "too-large")


async def test_past_the_depth_limit_a_submit_is_told_when_to_come_back(tight: Any) -> None:
    """429 with Retry-After in whole seconds."""
    await tight.submit()
    await tight.submit()
    answer = await tight.client.post("/jobs", json={"type": "any"})
    problem(answer, 429, "queue-full")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_batch_is_stored_whole_and_in_order(world: Any) -> None:
    """202 with one entry for each item."""
    items = [{"type": "any", "payload": n} for n in range(5)]
    answer = await world.client.post("/jobs/batch", json={"jobs": items})
    told = answer.json()
    assert answer.status_code == 202
    assert (told["count"], told["direct"], told["queued"], told["repeated"]) == (5, 0, 5, 0)
    for n, entry in enumerate(told["jobs"]):
        assert entry["routed"] == "queue"
        job = (await world.client.get(f"/jobs/{entry['id']}")).json()["job"]
        assert job["payload"] == n


async def test_a_repeated_batch_runs_nothing_twice(world: Any) -> None:
    """Each item's key answers its first job."""
    batch = {"jobs": [{"type": "any", "idempotency_key": f"k{n}"} for n in range(3)]}
    first = (await world.client.post("/jobs/batch", json=batch)).json()
    again = (await world.client.post("/jobs/batch", json=batch)).json()
    assert (again["repeated"], again["queued"]) == (3, 0)
    assert [job["id"] for job in again["jobs"]] == [job["id"] for job in first["jobs"]]
    assert all(job["repeated"] for job in again["jobs"])


@pytest.mark.parametrize(
    ("bad", "slug"),
    [
        ({"type": "nope"}, "unknown-type"),
        ({"type": "any", "priority": 99}, "invalid-value"),
        ({"type": "any", "timeout": "soon"}, "invalid-value"),
        ({"type": "any", "extra": 1}, "invalid-value"),
        ({"type": "email.send"}, "invalid-payload"),
    ],
)
@pytest.mark.parametrize("good", [0, 2])
async def test_a_bad_item_refuses_the_batch_and_is_named(
    world: Any, bad: dict[str, Any], slug: str, good: int
) -> None:
    """422 with the item's index and problem; nothing of the batch is stored."""
    items = [{"type": "any"}] * good + [bad]
    answer = await world.client.post("/jobs/batch", json={"jobs": items})
    [error] = problem(answer, 422, "invalid-batch")["errors"]
    assert (error["index"], error["type"]) == (good, slug)
    assert error["detail"]
    assert await stored(world) == 0


async def test_a_batch_over_its_limit_is_too_large(tight: Any) -> None:
    """413, however small the items are."""
    answer = await tight.client.post("/jobs/batch", json={"jobs": [{"type": "any"}] * 4})
    problem(answer, 413, "too-large")


@pytest.mark.parametrize("body", [{"jobs": []}, {}, {"jobs": {}}, {"jobs": [], "x": 1}])
async def test_a_batch_of_another_shape_is_refused(world: Any, body: dict[str, Any]) -> None:
    """422."""
    problem(await world.client.post("/jobs/batch", json=body), 422, "invalid-value")


async def test_a_key_for_a_whole_batch_is_refused(world: Any) -> None:
    """A promise that would not be kept is not taken."""
    answer = await world.client.post(
        "/jobs/batch", json={"jobs": [{"type": "any"}]}, headers={"Idempotency-Key": "k"}
    )
    problem(answer, 422, "invalid-value")


async def test_submits_and_refusals_are_counted(world: Any) -> None:
    """Metrics tell accepted jobs by type, queue and route, and refusals by problem."""
    await world.submit()
    await world.client.post("/jobs", json={"type": "nope"})
    text = (await world.client.get("/metrics")).text
    assert 'hermesd_submits_total{queue="default",result="queue",type="any"} 1.0' in text
    assert 'hermesd_submit_refusals_total{reason="unknown-type"} 1.0' in text
    assert 'hermesd_jobs_waiting{priority="3",queue="default",rung="store"} 1.0' in text


async def test_a_types_new_defaults_hold_from_the_next_submit_on(world: Any) -> None:
    """What a Register changed is neither stale for a known type nor for one of the catch-all."""
    before = await world.submit()
    defaults = TypeDefaults(priority=7, max_attempts=9, timeout=12.5)
    changed = JobType(name="any", kind=Kind.ASYNC, defaults=defaults)
    await world.agents.catalogue.learn([changed, JobType(name="*", kind=Kind.ASYNC)], "w1")
    after = await world.submit()
    assert [job["priority"] for job in (before, after)] == [3, 7]
    assert (after["max_attempts"], after["timeout"]) == (9, 12.5)
    asked = await world.submit(priority=0, max_attempts=1, timeout=1)
    assert (asked["priority"], asked["max_attempts"], asked["timeout"]) == (0, 1, 1.0)
    caught = await world.submit(type="caught")
    again = JobType(name="*", kind=Kind.ASYNC, defaults=TypeDefaults(priority=1))
    await world.agents.catalogue.learn([again], "w1")
    assert [job["priority"] for job in (caught, await world.submit(type="caught"))] == [3, 1]


async def test_a_delayed_submit_is_scheduled(world: Any) -> None:
    """202, routed `scheduled`, with its time; a repeat of its key says the same."""
    body = {"type": "any", "delay": 3600, "idempotency_key": "later"}
    answer = await world.client.post("/jobs", json=body)
    told = answer.json()
    assert (answer.status_code, told["routed"]) == (202, "scheduled")
    assert told["job"]["state"] == "scheduled"
    assert RFC3339.match(told["job"]["run_at"])
    again = await world.client.post("/jobs", json=body)
    assert (again.status_code, again.json()["routed"]) == (200, "scheduled")
    assert again.json()["job"]["run_at"] == told["job"]["run_at"]


async def test_a_batch_may_mix_times(world: Any) -> None:
    """Each item by itself: what has passed is queued, what comes later is scheduled."""
    items = [
        {"type": "any"},
        {"type": "any", "run_at": "2999-01-01T00:00:00+02:00"},
        {"type": "any", "run_at": "2001-01-01T00:00:00Z"},
        {"type": "any", "delay": 0.5},
    ]
    answer = await world.client.post("/jobs/batch", json={"jobs": [*items[:1], *items[2:]]})
    told = answer.json()
    assert (told["count"], told["queued"], told["scheduled"]) == (3, 2, 1)
    assert [job["routed"] for job in told["jobs"]] == ["queue", "queue", "scheduled"]
    far = await world.client.post("/jobs/batch", json={"jobs": items})
    [error] = problem(far, 422, "invalid-batch")["errors"]
    assert error["index"] == 1
    assert "run_at" in error["detail"]


@pytest.mark.parametrize(
    ("wrong", "slug"),
    [
        ({"delay": -1}, "invalid-value"),
        ({"delay": 1e12}, "invalid-value"),
        ({"delay": 1, "run_at": "2100-01-01T00:00:00Z"}, "invalid-value"),
        ({"run_at": "2100-01-01T00:00:00"}, "invalid-value"),
        ({"run_at": "tomorrow"}, "invalid-value"),
        ({"run_at": 4102444800}, "invalid-value"),
    ],
)
async def test_a_time_that_cannot_be_meant_is_refused(
    world: Any, wrong: dict[str, Any], slug: str
) -> None:
    """422 that names the member; nothing is stored."""
    answer = await world.client.post("/jobs", json={"type": "any", **wrong})
    told = problem(answer, 422, slug)
    assert any(name in str(told) for name in wrong)
    assert await stored(world) == 0


async def test_scheduled_jobs_have_a_limit_of_their_own(tight: Any) -> None:
    """429 past `api.max_scheduled_jobs`, while others may still wait for a worker."""
    later = {"type": "any", "delay": 60}
    assert (await tight.client.post("/jobs", json=later)).status_code == 202
    refused = await tight.client.post("/jobs", json=later)
    problem(refused, 429, "queue-full")
    assert (await tight.client.post("/jobs", json={"type": "any"})).status_code == 202
