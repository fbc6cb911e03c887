"""A bridge, a recording api behind a real gRPC server, and a worker's link to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import structlog
import trio

from hermesd.bridge.grpc_link import open_control_link
from hermesd.bridge.grpc_server import BoundServer, open_control_server
from hermesd.bridge.loop import open_bridge
from hermesd.core.fleet import (
    Deregistration,
    FleetEntry,
    Heartbeat,
    HeartbeatAnswer,
    Load,
    Registration,
    RegistrationAnswer,
    WorkerStatus,
)
from hermesd.core.job import Job, Token
from hermesd.core.notes import NoteBatch
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict, Report, ReportAnswer, Verdict
from hermesd.core.states import State
from hermesd.ports import ControlLink

MAX_MESSAGE_BYTES = 256 * 1024


def grant(claim: Claim) -> ClaimAnswer:
    """The claimed job, under the next lease."""
    job = Job(
        id=claim.token.job_id,
        type="demo.echo",
        payload=msgspec.Raw(b'{"n":1}'),
        state=State.RUNNING,
        lease=claim.token.lease + 1,
        attempts=1,
    )
    return ClaimAnswer(verdict=ClaimVerdict.GRANTED, job=job)


class RecordingService:
    """A ControlService that notes what it is asked and answers what the contract wants."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.before: Callable[[], Awaitable[None]] | None = None
        self.answer_claim: Callable[[Claim], ClaimAnswer] = grant
        self.confused: Callable[[list[ClaimAnswer]], list[ClaimAnswer]] = list
        self.taken: Callable[[list[bool]], list[bool]] = list
        self.cancelled = 0
        self.poke, self._poked = trio.open_memory_channel[None](16)
        self.listening = trio.Event()
        self.left = trio.Event()

    async def _note(self, asked: Any) -> None:
        self.asked.append(asked)
        try:
            if self.before is not None:
                await self.before()
        except trio.Cancelled:
            self.cancelled += 1
            raise

    async def register(self, registration: Registration) -> RegistrationAnswer:
        await self._note(registration)
        return RegistrationAnswer(
            api_name="a1", api_boot="boot-1", store_id="store-1", invalid=registration.held[:1]
        )

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        await self._note(heartbeat)
        return HeartbeatAnswer(cancels=heartbeat.held, drain=True, fence_batch=7)

    async def deregister(self, deregistration: Deregistration) -> None:
        await self._note(deregistration)

    async def report(self, report: Report) -> ReportAnswer:
        await self._note(report)
        return ReportAnswer(verdicts=(Verdict.RECORDED,) * len(report.outcomes))

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        await self._note(claims)
        return self.confused([self.answer_claim(claim) for claim in claims])

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        await self._note(batch)
        return self.taken([note.token.lease == 5 for note in batch.notes])

    @asynccontextmanager
    async def pokes(self, incarnation: str) -> AsyncIterator[AsyncIterator[None]]:
        await self._note(incarnation)
        self.listening.set()
        try:
            yield self._poked
        finally:
            self.left.set()

    async def workers(self) -> list[FleetEntry]:
        await self._note("workers")
        return [
            FleetEntry(
                worker_id="w1",
                incarnation="i1",
                address="127.0.0.1:9",
                machine="m",
                last_seen_unix=1.5,
                load=Load(cpu=0.5),
                slots={"async": 4},
                free={"async": 3},
                status=WorkerStatus.BUSY,
                types=("demo.echo",),
                queues=("default",),
                version="1",
            )
        ]


@pytest.fixture
def max_message_bytes() -> int:
    return MAX_MESSAGE_BYTES


@pytest.fixture
async def bridge() -> AsyncIterator[None]:
    async with open_bridge():
        yield


@pytest.fixture
def service() -> RecordingService:
    return RecordingService()


@pytest.fixture
def serve(bridge: None, service: RecordingService) -> Callable[..., Any]:
    """Open a server for the service; port 0 picks one."""

    def open_server(port: int = 0, **options: Any) -> Any:
        return open_control_server(
            service,
            "127.0.0.1",
            port,
            max_message_bytes=MAX_MESSAGE_BYTES,
            log=structlog.get_logger(),
            **options,
        )

    return open_server


@pytest.fixture
async def server(serve: Callable[..., Any]) -> AsyncIterator[BoundServer]:
    async with serve() as bound:
        yield bound


@pytest.fixture
async def link(server: BoundServer) -> AsyncIterator[ControlLink]:
    endpoint = f"127.0.0.1:{server.port}"
    async with open_control_link(endpoint, call_timeout_seconds=20) as opened:
        yield opened


@pytest.fixture
def claim() -> Claim:
    return Claim(store_id="store-1", token=Token("job-1", 4), worker_id="w1", incarnation="i1")
