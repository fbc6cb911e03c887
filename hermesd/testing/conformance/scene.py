"""What the suites' tests say in one line: submit, run, settle, look."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Protocol

import msgspec
import pytest
from msgspec.structs import replace

from hermesd.core.fleet import Incarnation
from hermesd.core.job import Job, Rung, Token
from hermesd.core.outcome import Outcome, OutcomeKind, Settlement, settle
from hermesd.core.pulled import PulledOutcome
from hermesd.core.records import (
    Assignment,
    Claim,
    Head,
    IdempotencyKey,
    Submission,
    Submitted,
    Verdict,
    Waiting,
)
from hermesd.core.states import Move, State
from hermesd.ports import (
    Apis,
    Fleet,
    JobReader,
    JobStore,
    Notes,
    Outbox,
    Points,
    Queues,
    Schedules,
    TypeCatalogue,
)
from hermesd.testing.clock import ManualClock

WORKER = "worker-1"
INCARNATION = "inc-1"
API = "api-1"


class Store(Protocol):
    """What a suite needs of the adapter under test: one object a port."""

    @property
    def jobs(self) -> JobStore:
        """Changes."""

    @property
    def outbox(self) -> Outbox:
        """Jobs at a message broker."""

    @property
    def reader(self) -> JobReader:
        """Questions."""

    @property
    def notes(self) -> Notes:
        """What jobs tell."""

    @property
    def fleet(self) -> Fleet:
        """Incarnations."""

    @property
    def apis(self) -> Apis:
        """Apis."""

    @property
    def types(self) -> TypeCatalogue:
        """Job types."""

    @property
    def queues(self) -> Queues:
        """Named queues."""

    @property
    def points(self) -> Points:
        """The history of the fleet."""

    @property
    def schedules(self) -> Schedules:
        """Schedules."""


class Scene:
    """A store, its clock, and jobs with ids that rise."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self._numbers = count(1)

    def job(self, **fields: Any) -> Job:
        """A job that is not stored yet; queued unless `state` says otherwise."""
        number = next(self._numbers)
        given: dict[str, Any] = {
            "id": f"0199c0de-0000-7000-8000-{number:012d}",
            "type": "test.echo",
            "payload": msgspec.Raw(b'{"n": %d}' % number),
        }
        given.update(fields)
        return Job(**given)

    async def submit(
        self, *jobs: Job, keys: Sequence[IdempotencyKey | None] | None = None
    ) -> Sequence[Submitted]:
        """Insert as one submission."""
        given = tuple(keys) if keys is not None else (None,) * len(jobs)
        return await self.store.jobs.insert(Submission(jobs=jobs, keys=given))

    async def queued(self, **fields: Any) -> Job:
        """A job that waits in the store."""
        (answer,) = await self.submit(self.job(**fields))
        return answer.job

    async def at_broker(self, **fields: Any) -> Job:
        """A job whose message was published now."""
        job = await self.queued(**fields)
        assert await self.store.outbox.hand_over([job.token], self.clock.utc()) == [True]
        return await self.now(job)

    async def scheduled(self, *, after: float, **fields: Any) -> Job:
        """A job that is due `after` seconds from now."""
        run_at = self.clock.utc() + after
        return await self.queued(state=State.SCHEDULED, run_at=run_at, **fields)

    async def running(self, *, incarnation: str = INCARNATION, **fields: Any) -> Job:
        """A job inserted as running on a living incarnation, at its first lease."""
        await self.living(incarnation)
        given: dict[str, Any] = {
            "state": State.RUNNING,
            "lease": 1,
            "attempts": 1,
            "rung": Rung.PUSH,
            "worker_id": WORKER,
            "assigned_by": API,
        }
        return await self.queued(incarnation=incarnation, **(given | fields))

    async def failed(self, **fields: Any) -> Job:
        """A job in the dead-letter queue."""
        job = await self.running(**fields)
        assert await self.settle(job, Move.FAIL) is Verdict.RECORDED
        return await self.now(job)

    async def living(self, incarnation: str) -> bool:
        """Register an incarnation."""
        return await self.store.fleet.register(
            Incarnation(incarnation=incarnation, worker_id=WORKER, address="127.0.0.1:1")
        )

    async def assign(
        self, job: Job, *, move: Move = Move.ASSIGN, incarnation: str = INCARNATION
    ) -> Job | None:
        """Give a job to an incarnation."""
        (answer,) = await self.store.jobs.assign([self.assignment(job, move, incarnation)])
        return answer

    def assignment(self, job: Job, move: Move, incarnation: str) -> Assignment:
        """The order to give a job to an incarnation."""
        return Assignment(
            token=job.token,
            worker_id=WORKER,
            incarnation=incarnation,
            assigned_by=API,
            rung=Rung.PUSH,
            at=self.clock.utc(),
            move=move,
        )

    async def claim(self, job: Job, *, incarnation: str = INCARNATION) -> Claim:
        """The claim of a message that carries `job`'s token."""
        return Claim(
            store_id=await self.store.fleet.store_id(),
            token=job.token,
            worker_id=WORKER,
            incarnation=incarnation,
            assigned_by=API,
            at=self.clock.utc(),
        )

    def outcome(self, job: Job, move: Move, **fields: Any) -> Settlement:
        """A settlement of the job's present lease, now."""
        now = self.clock.utc()
        if move in (Move.RETRY, Move.SNOOZE):
            fields.setdefault("run_at", now)
        return Settlement(token=Token(job.id, job.lease), move=move, at=now, **fields)

    def pulled(
        self, job: Job, kind: OutcomeKind, *, incarnation: str = INCARNATION, **fields: Any
    ) -> PulledOutcome:
        """The outcome of a message with `job`'s token, settled as if `job` were up to date."""
        now = self.clock.utc()
        outcome = Outcome(
            token=job.token, kind=kind, started_at=now - 2, finished_at=now - 1, **fields
        )
        bare = PulledOutcome(
            token=job.token, incarnation=incarnation, worker_id=WORKER, outcome=outcome
        )
        ran = bare.running(job)
        return bare if ran is None else replace(bare, settlement=settle(outcome, ran, now, 0.5))

    async def settle_pulled(self, *outcomes: PulledOutcome) -> list[Verdict]:
        """Record outcomes of jobs that were run without a grant."""
        answers = await self.store.outbox.settle_pulled(outcomes, self.clock.utc())
        return [answer.verdict for answer in answers]

    async def settle(self, job: Job, move: Move, **fields: Any) -> Verdict:
        """Record one outcome."""
        (verdict,) = await self.store.jobs.settle([self.outcome(job, move, **fields)])
        return verdict

    async def now(self, job: Job) -> Job:
        """The job as it is stored; it must be there."""
        found = await self.store.reader.get(job.id)
        assert found is not None
        return found

    async def waiting(
        self, *pairs: tuple[str, str], limit: int = 100, most_bytes: int = 1_000_000
    ) -> list[str]:
        """The ids of what waits, best first."""
        head = await self.head(*pairs, limit=limit, most_bytes=most_bytes)
        return [job.id for job in head.jobs]

    async def head(self, *pairs: tuple[str, str], limit: int, most_bytes: int) -> Head:
        """The first of what waits."""
        wanted = Waiting(
            pairs=pairs or (("default", "test.echo"),), limit=limit, most_bytes=most_bytes
        )
        return await self.store.jobs.waiting(wanted)

    async def event_kinds(self, job: Job) -> list[str]:
        """The kinds of a job's appended events, oldest first."""
        return [event.kind for event in await self.store.reader.events(job.id)]

    def key(self, name: str, *, body: str = "body", ttl: float = 60.0) -> IdempotencyKey:
        """An idempotency key that expires after `ttl` seconds."""
        return IdempotencyKey(
            principal="someone", key_hash=name, body_hash=body, expires_at=self.clock.utc() + ttl
        )


def in_brief(job: Job) -> Job:
    """As `ports.JobReader` answers many."""
    return replace(job, payload=msgspec.Raw(b""), result=None)


class Conformance:
    """The base of all suites over a store; a subclass's module has fixtures `store`, `clock`."""

    @pytest.fixture
    async def scene(self, store: Store, clock: ManualClock) -> Scene:
        """The adapter under test."""
        return Scene(store, clock)
