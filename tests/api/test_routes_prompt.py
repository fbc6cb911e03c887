"""Lone submits that are taken without a task: they are answered as any others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import structlog
import trio.testing

from hermesd.api.app import build_app
from hermesd.http.asgi import Headers

HOST = (b"host", b"api.test:8081")


class Answers:
    """What was replied, in order."""

    def __init__(self) -> None:
        self.got: list[tuple[int, Headers, bytes]] = []

    def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """See Reply."""
        self.got.append((status, headers, body))


async def taken(world: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """The answer on a submit that is taken."""
    take = build_app(world.services).prompt("POST", b"/jobs", [HOST])
    assert take is not None
    answers = Answers()
    assert take(body, answers.reply)
    await trio.testing.wait_all_tasks_blocked()
    [(status, headers, content)] = answers.got
    return status, {name.decode(): value.decode() for name, value in headers}, content


async def test_the_answer_is_the_same_as_of_a_task(world: Any) -> None:
    """Members, fields and status; the job is committed."""
    body = b'{"type": "any", "payload": {"a": 1}, "labels": {"b": "c"}}'
    status, headers, content = await taken(world, body)
    other = await world.client.post("/jobs", content=body)
    assert status == other.status_code == 202
    told, others = json.loads(content), other.json()
    assert told.keys() == others.keys()
    different = {name for name in told["job"] if told["job"][name] != others["job"][name]}
    assert different <= {"id", "created_at", "updated_at"}
    assert headers["location"] == f"/jobs/{told['job']['id']}"
    assert headers.keys() <= other.headers.keys()
    stored = (await world.client.get(headers["location"])).json()["job"]
    assert stored["state"] == told["job"]["state"] == "queued"


@pytest.mark.parametrize(
    "body", [b"{", b'{"type": 1}', b'{"type": "any", "queue": "x"}', b"\xff", b"[]", b""]
)
async def test_a_refusal_is_the_same_as_of_a_task(world: Any, body: bytes) -> None:
    """Told at once, and counted."""
    status, headers, content = await taken(world, body)
    other = await world.client.post("/jobs", content=body)
    assert (status, json.loads(content)) == (other.status_code, other.json())
    assert headers["content-type"] == "application/problem+json"


async def test_only_plain_lone_submits_are_taken(world: Any) -> None:
    """What needs a look at more than the body goes the long way."""
    front = build_app(world.services)
    assert front.prompt("POST", b"/jobs", [HOST, (b"content-length", b"2")]) is not None
    for method, target, name in [
        ("GET", b"/jobs", b"accept"),
        ("POST", b"/jobs/batch", b"accept"),
        ("POST", b"/jobs?a=1", b"accept"),
        ("POST", b"/jobs", b"origin"),
        ("POST", b"/jobs", b"sec-fetch-site"),
        ("POST", b"/jobs", b"idempotency-key"),
        ("POST", b"/jobs", b"traceparent"),
    ]:
        assert front.prompt(method, target, [HOST, (name, b"x")]) is None
    take = front.prompt("POST", b"/jobs", [HOST])
    assert take is not None
    assert not take(b'{"type": "any", "idempotency_key": "k"}', Answers().reply)


async def test_a_defect_is_logged_and_answered_also_without_a_task(world: Any) -> None:
    """500, and the reason is not told."""

    class Failing:
        """See TakesJobs."""

        def begin(self, request: Any, answer: Any) -> bool:
            """A defect that shows later."""
            answer(ValueError("secret 42"))
            return True

    capture = structlog.testing.LogCapture()
    log = structlog.wrap_logger(None, processors=[capture])
    services: Any = replace(world.services, submitter=Failing(), log=log)
    take = build_app(services).prompt("POST", b"/jobs", [HOST])
    answers = Answers()
    assert take is not None
    assert take(b'{"type": "any"}', answers.reply)
    [(status, _, content)] = answers.got
    assert status == 500
    assert b"secret" not in content
    assert [entry["event"] for entry in capture.entries] == ["request.failed"]
