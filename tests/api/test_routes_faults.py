"""What clients are told when something behind the routes fails, and odd ways to send a body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import LogCapture

from hermesd.api.app import build_app
from hermesd.core.errors import (
    Broken,
    HermesError,
    OutcomeUnknown,
    QueueFull,
    StoreUnavailable,
    Unstorable,
)
from hermesd.core.fleet import FleetEntry, Load, WorkerStatus


class Failing:
    """A submitter, reader or fleet that fails with one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def submit(self, requests: Any, **about: Any) -> Any:
        """See TakesJobs."""
        raise self._error

    async def get(self, job_id: str) -> Any:
        """See JobReader."""
        raise self._error


class TwoWorkers:
    """A fleet of two on one machine."""

    def entries(self) -> Sequence[FleetEntry]:
        """See FleetView."""
        return [
            FleetEntry(
                worker_id=f"w{number}",
                incarnation=f"i{number}",
                address=f"10.0.0.1:900{number}",
                machine="host-1",
                last_seen_unix=1_800_000_000.5,
                load=Load(running=number),
                slots={"async": 4, "thread": 1},
                free={"async": 4 - number, "thread": 1},
                status=WorkerStatus.IDLE,
                types=("any",),
                queues=("default",),
                version="0.1",
            )
            for number in range(2)
        ]

    def totals(self) -> Mapping[str, int]:
        """See FleetView."""
        return {"workers": 2}


@pytest.fixture
def logged() -> Iterator[LogCapture]:
    """What is logged."""
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[capture])
    yield capture
    structlog.configure(processors=before)


def client(world: Any, **services: Any) -> httpx.AsyncClient:
    """A client of the world's api with some of its services replaced."""
    changed = replace(world.services, log=structlog.get_logger(), **services)
    transport = httpx.ASGITransport(build_app(changed))  # type: ignore[arg-type]  # its own types
    return httpx.AsyncClient(transport=transport, base_url="http://api.test:8081")


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (StoreUnavailable("disk full", retry_after_seconds=0.2), 503, "1"),
        (StoreUnavailable("disk full", retry_after_seconds=2.5), 503, "3"),
        (QueueFull("too many", retry_after_seconds=2), 429, "2"),
        (OutcomeUnknown("the commit was cut off"), 504, None),
        (Unstorable("a NUL"), 422, None),
    ],
)
async def test_errors_of_the_store_keep_their_meaning(
    world: Any, error: HermesError, status: int, retry_after: str | None
) -> None:
    """503 and 429 mean absent and tell when to come back; 504 means unknown and does not."""
    async with client(world, submitter=Failing(error), reader=Failing(error)) as calling:
        for answer in (
            await calling.post("/jobs", json={"type": "any"}),
            await calling.get("/jobs/x"),
        ):
            assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry_after)
            assert answer.json()["type"] == f"urn:hermesd:problem:{error.slug}"
            assert answer.json()["detail"] == error.detail


@pytest.mark.parametrize("error", [ValueError("secret 42"), Broken("secret 42")])
async def test_a_defect_is_logged_and_answered(
    world: Any, logged: LogCapture, error: Exception
) -> None:
    """500 on every kind of route; the reason is in the log and not in the answer."""
    async with client(world, submitter=Failing(error), reader=Failing(error)) as calling:
        for answer in (
            await calling.post("/jobs", json={"type": "any"}),
            await calling.get("/jobs/x"),
        ):
            assert answer.status_code == 500
            assert answer.headers["content-type"] == "application/problem+json"
            assert "secret" not in answer.text
    assert [entry["event"] for entry in logged.entries] == ["request.failed"] * 2


async def test_workers_are_summed_by_machine(world: Any) -> None:
    """One entry each, with load and slots, and how many speak a type."""
    async with client(world, fleet=TwoWorkers()) as calling:
        told = (await calling.get("/workers")).json()
        types = (await calling.get("/types")).json()["types"]
    assert (told["count"], told["total_workers"], told["total_slots"]) == (2, 2, 10)
    assert told["machines"] == {"host-1": {"workers": 2, "slots": 10, "free": 9}}
    first = told["workers"][0]
    assert (first["worker_id"], first["status"], first["breaker"]) == ("w0", "idle", "closed")
    assert first["load"]["running"] == 0
    assert first["last_seen_unix"] == 1_800_000_000.5
    assert {each["name"]: each["workers"] for each in types} == {"any": 2, "email.send": 0}


async def post_in_pieces(world: Any, pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that POST /jobs answers on these."""
    sent: list[dict[str, Any]] = []
    waiting = iter(pieces)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/jobs", "headers": [(b"host", b"x")]}
    await build_app(world.services)(scope, receive, send)
    return sent


async def test_a_body_in_pieces_is_read_whole(world: Any) -> None:
    """As a chunked or slow one comes."""
    sent = await post_in_pieces(
        world,
        [
            {"type": "http.request", "body": b'{"type"', "more_body": True},
            {"type": "http.request", "body": b"", "more_body": True},
            {"type": "http.request", "body": b':"any"}', "more_body": False},
        ],
    )
    assert sent[0]["status"] == 202


async def test_half_a_body_is_no_job(world: Any) -> None:
    """A client that leaves in the middle has submitted nothing."""
    sent = await post_in_pieces(
        world,
        [
            {"type": "http.request", "body": b'{"type":"any"}', "more_body": True},
            {"type": "http.disconnect"},
        ],
    )
    assert sent[0]["status"] == 400
    assert (await world.client.get("/jobs")).json()["jobs"] == []


async def test_a_slash_at_the_end_is_the_same_resource(world: Any) -> None:
    """Also where the hot route is reached through the table of routes."""
    assert (await world.client.post("/jobs/", json={"type": "any"})).status_code == 202
    assert len((await world.client.get("/jobs/")).json()["jobs"]) == 1
    answer = await world.client.post("/jobs/batch/", json={"jobs": [{"type": "any"}]})
    assert answer.status_code == 202
