"""One api without workers over real parts, its ASGI app driven through httpx."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

sys.path.insert(0, str(Path(__file__).parent))

from agents.wiring import parts_over, state_over

from hermesd.api.agents import ApiAgents
from hermesd.api.app import build_app
from hermesd.api.services import ApiServices
from hermesd.clock import TrioClock
from hermesd.config import Config
from hermesd.core.errors import StoreUnavailable
from hermesd.core.job import ErrorInfo, Job, Kind, Rung
from hermesd.core.jobtype import JobType
from hermesd.core.outcome import Settlement
from hermesd.core.records import Assignment, QueueStatus, Verdict
from hermesd.core.states import Move
from hermesd.queues.embedded import EmbeddedQueue
from hermesd.testing.memory import MemoryStore

EMAIL = JobType(
    name="email.send",
    kind=Kind.ASYNC,
    description="sends mail",
    schema={
        "type": "object",
        "required": ["to"],
        "properties": {
            "to": {"type": "string", "format": "email"},
            "copies": {"type": "array", "items": {"$ref": "#/$defs/address"}},
        },
        "$defs": {"address": {"type": "string", "minLength": 3}},
    },
)
ANYTHING = JobType(name="any", kind=Kind.ASYNC)


@dataclass
class Weather:
    """What the outside of the api is like: flip it to see an outage."""

    store_down: bool = False
    queue: QueueStatus = field(default_factory=lambda: QueueStatus(serving=True))


class ReportedQueue(EmbeddedQueue):
    """The embedded queue, with a status that a test can set."""

    def __init__(self, store: MemoryStore, weather: Weather) -> None:
        super().__init__(store.jobs)
        self._weather = weather

    async def status(self) -> QueueStatus:
        """As the weather is."""
        return self._weather.queue


@dataclass
class World:
    """The api, its parts, and a client of it."""

    store: MemoryStore
    services: ApiServices
    agents: ApiAgents
    client: httpx.AsyncClient
    weather: Weather
    cancel_scope: trio.CancelScope

    async def submit(self, **members: Any) -> dict[str, Any]:
        """The job view of a fresh submit."""
        answer = await self.client.post("/jobs", json={"type": "any", **members})
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()["job"]
        return job

    async def run(self, job_id: str) -> Job:
        """Let a queued job run at a worker of another api."""
        job = await self.store.reader.get(job_id)
        assert job is not None
        assignment = Assignment(
            token=job.token,
            worker_id="w1",
            incarnation="i1",
            assigned_by="other",
            rung=Rung.PUSH,
            at=self.services.clock.utc(),
        )
        [running] = await self.store.jobs.assign([assignment])
        assert running is not None
        return running

    async def end(self, running: Job, move: Move, **members: Any) -> None:
        """Settle a running job."""
        settlement = Settlement(
            token=running.token, move=move, at=self.services.clock.utc(), **members
        )
        assert await self.store.jobs.settle([settlement]) == [Verdict.RECORDED]

    async def fail(self, job_id: str, kind: str = "error") -> None:
        """Let a queued job run and fail for good."""
        running = await self.run(job_id)
        await self.end(running, Move.FAIL, error=ErrorInfo(kind=kind, message="no luck"))


@asynccontextmanager
async def open_world(config: Config | None = None) -> AsyncIterator[World]:
    """An api over a fresh store; its agents do not run, its routes do."""
    config = config or Config()
    clock = TrioClock()
    store = MemoryStore(clock=clock)
    weather = Weather()

    async def check_store() -> None:
        if weather.store_down:
            raise StoreUnavailable("the disk is full", retry_after_seconds=2.5)

    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        state = await state_over(store, config, clock, queue=ReportedQueue(store, weather))
        parts = parts_over(store, installed=[EMAIL, ANYTHING], store_check=check_store)
        agents = ApiAgents(state, parts, nursery)
        await agents.recall()
        services = agents.services()
        transport = httpx.ASGITransport(build_app(services))  # type: ignore[arg-type]
        client = httpx.AsyncClient(transport=transport, base_url="http://api.test:8081")
        await stack.enter_async_context(client)
        yield World(store, services, agents, client, weather, nursery.cancel_scope)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An api with the default configuration."""
    async with open_world() as opened:
        yield opened


@pytest.fixture
def opened():  # type: ignore[no-untyped-def]  # the type of a context manager factory
    """How a test opens an api with a configuration of its own."""
    return open_world


@pytest.fixture
async def tight() -> AsyncIterator[World]:
    """An api with small limits."""
    config = msgspec.convert(
        {
            "api": {
                "max_payload_bytes": 200,
                "max_batch_items": 3,
                "max_waiting_jobs": 2,
                "max_scheduled_jobs": 1,
                "allowed_origins": ["https://ops.test"],
            },
            "events": {"ring": 5, "max_streams": 1},
        },
        Config,
    )
    async with open_world(config) as opened:
        yield opened
