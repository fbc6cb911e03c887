"""A worker that pulls from a real RabbitMQ, and claims at a desk over a store in memory."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import structlog
import trio
from brokers.declaring import declare

from hermesd.bridge.amqp_line import BrokerLine, LineTerms, open_broker_line
from hermesd.clock import TrioClock
from hermesd.config import Config
from hermesd.core.amqp_names import Band, Names
from hermesd.core.broker import PublishFate
from hermesd.core.errors import HermesError
from hermesd.core.fleet import (
    Deregistration,
    Heartbeat,
    HeartbeatAnswer,
    Incarnation,
    Registration,
    RegistrationAnswer,
    item_of,
)
from hermesd.core.job import Job
from hermesd.core.messages import JobMessage, OutcomeMessage
from hermesd.core.outcome import settle
from hermesd.core.pulled import PulledOutcome
from hermesd.core.records import (
    Claim,
    ClaimAnswer,
    ClaimVerdict,
    Report,
    ReportAnswer,
    Submission,
    Verdict,
)
from hermesd.core.states import State
from hermesd.handlers.contract import Handler
from hermesd.handlers.loader import load_plugins
from hermesd.http.server import open_listeners
from hermesd.observe.worker_metrics import WorkerMetrics
from hermesd.ports import Delivery
from hermesd.queues.messages import MessageCodec
from hermesd.queues.topology import topology_of
from hermesd.testing.links import DirectLink
from hermesd.testing.memory import MemoryStore
from hermesd.testing.names import KnownNames
from hermesd.worker.role import Stop, run_worker
from hermesd.worker.slots import SlotTable
from hermesd.worker.state import WorkerState

PATIENCE_SECONDS = 150.0
_numbers = itertools.count()


class SteppedClock(TrioClock):
    """Its monotonic time can be set forward."""

    def __init__(self) -> None:
        super().__init__()
        self.stepped = 0.0

    def monotonic(self) -> float:
        """As trio has it, and as stepped."""
        return super().monotonic() + self.stepped


class Desk:
    """ControlService over a store.

    While `refusing`, claims and reports raise that error; while `unable`, everything does. Workers
    are `told` that these queues are paused; claims for those in `paused` are refused.
    """

    def __init__(self, store: MemoryStore, store_id: str) -> None:
        self.store = store
        self.store_id = store_id
        self.claims: list[Sequence[Claim]] = []
        self.heartbeats: list[Heartbeat] = []
        self.refusing: HermesError | None = None
        self.unable: HermesError | None = None
        self.paused: set[str] = set()
        self.told: tuple[str, ...] = ()
        self.before_claim: Callable[[], Awaitable[None]] | None = None

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """See ControlService."""
        if self.unable is not None:
            raise self.unable
        living = await self.store.fleet.register(
            Incarnation(
                incarnation=registration.incarnation,
                worker_id=registration.worker_id,
                address=registration.address,
            )
        )
        return RegistrationAnswer(
            api_name="a1",
            api_boot="boot-1",
            store_id=self.store_id,
            fenced=not living,
            heartbeat_seconds=0.2,
        )

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """See ControlService."""
        self.heartbeats.append(heartbeat)
        [living] = await self.store.fleet.heard([heartbeat.incarnation])
        return HeartbeatAnswer(fenced=not living, paused_queues=self.told)

    async def deregister(self, deregistration: Deregistration) -> None:
        """See ControlService."""
        await self.store.fleet.fence(deregistration.incarnation, silent_for_seconds=None)

    async def report(self, report: Report) -> ReportAnswer:
        """See ControlService."""
        if self.refusing is not None:
            raise self.refusing
        verdicts = []
        for outcome in report.outcomes:
            job = await self.store.reader.get(outcome.token.job_id)
            verdicts += await self.store.jobs.settle([settle(outcome, job, 1.0, 0.5)])
        return ReportAnswer(verdicts=tuple(verdicts))

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See ControlService."""
        self.claims.append(claims)
        if self.before_claim is not None:
            await self.before_claim()
        if self.refusing is not None:
            raise self.refusing
        if any(claim.queue in self.paused for claim in claims):
            return [ClaimAnswer(verdict=ClaimVerdict.PAUSED) for _ in claims]
        return await self.store.jobs.claim(claims)

    @asynccontextmanager
    async def pokes(self, incarnation: str) -> AsyncIterator[Any]:
        """See ControlService; nobody is ever poked."""
        sender, receiver = trio.open_memory_channel[None](0)
        async with sender, receiver:
            yield receiver

    async def workers(self) -> Sequence[Any]:
        """See ControlService."""
        return []


class World:
    """The broker's queues of one namespace, the store, and how jobs get into both."""

    def __init__(self, line: BrokerLine, store: MemoryStore, store_id: str) -> None:
        self.namespace = f"pull-{next(_numbers)}"
        self.config = msgspec.convert({"queue": {"namespace": self.namespace}}, Config)
        self.names = Names.of(self.namespace, self.config.queue.names)
        self.codec = MessageCodec(self.names.exchange, self.config.queue.max_message_bytes)
        self.line = line
        self.store = store
        self.store_id = store_id
        self.desk = Desk(store, store_id)
        self.link = DirectLink(self.desk)
        self._ids = itertools.count()

    async def submit(self, type_name: str = "note", jobs: int = 1, **members: Any) -> list[Job]:
        """Queue jobs in the store, and publish their messages."""
        wanted = [
            Job(id=f"j{next(self._ids)}", type=type_name, payload=msgspec.Raw(b"{}"), **members)
            for _ in range(jobs)
        ]
        submission = Submission(jobs=tuple(wanted), keys=(None,) * jobs)
        stored = [each.job for each in await self.store.jobs.insert(submission)]
        await self.publish(*stored)
        return stored

    async def publish(self, *jobs: Job, store_id: str = "") -> None:
        """Publish the messages of these jobs."""
        messages = [
            JobMessage(store_id=store_id or self.store_id, enqueued_at=1.0, job=item_of(job))
            for job in jobs
        ]
        fates = await self.line.publish([self.codec.encode_job(each) for each in messages])
        assert set(fates) == {PublishFate.CONFIRMED}

    async def job(self, job_id: str) -> Job:
        """As the store has it."""
        job = await self.store.reader.get(job_id)
        assert job is not None
        return job

    async def succeeded(self, jobs: Sequence[Job]) -> None:
        """Wait until all of these have."""

        async def have() -> bool:
            found = await self.store.reader.get_many([job.id for job in jobs])
            return all(job.state is State.SUCCEEDED for job in found)

        await until(have, f"{len(jobs)} jobs to succeed")

    async def ready(self, name: str) -> int:
        """Messages that nobody has, in a queue of the broker."""
        facts = await self.line.depth(name)
        assert facts is not None
        return facts.messages

    async def waiting(self) -> int:
        """The same over all bands of the default queue."""
        return sum([await self.ready(self.names.queue_of("default", band)) for band in Band])

    async def holds(self, name: str, messages: int) -> None:
        """Wait until a queue has so many."""

        async def has() -> bool:
            return await self.ready(name) == messages

        await until(has, f"{messages} messages in {name}")

    async def all_waiting(self, messages: int) -> None:
        """Wait until all bands of the default queue have so many."""

        async def have() -> bool:
            return await self.waiting() == messages

        await until(have, f"{messages} waiting messages")

    async def outcomes(self) -> list[OutcomeMessage]:
        """Take all published outcomes."""
        found = []
        while (delivery := await self.line.get(self.names.outcomes)) is not None:
            await delivery.ack()
            found.append(self.codec.decode_outcome(delivery.body))
        return found

    async def record(self, message: OutcomeMessage) -> Verdict:
        """What an api makes of a published outcome."""
        outcome = message.outcome
        job = await self.job(outcome.token.job_id)
        pulled = PulledOutcome(
            token=outcome.token,
            incarnation=message.incarnation,
            worker_id=message.worker_id,
            outcome=outcome,
            settlement=settle(outcome, job, 1.0, 0.5),
        )
        [answer] = await self.store.outbox.settle_pulled([pulled], 1.0)
        return answer.verdict


class HangingLine:
    """A real line to the broker; while `hanging`, gets are never answered, and know no limit."""

    def __init__(self, line: BrokerLine, *, hanging: bool) -> None:
        self.hanging = hanging
        self._line = line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)

    async def get(self, queue: str) -> Delivery | None:
        """See ports.Broker."""
        if self.hanging:
            await trio.sleep_forever()
        return await self._line.get(queue)

    async def take(self, queue: str, most: int) -> Sequence[Delivery]:
        """See ports.Broker."""
        if self.hanging:
            await trio.sleep_forever()
        return await self._line.take(queue, most)


class Worker:
    """A worker whose line to the broker is its own."""

    def __init__(self, state: WorkerState, line: HangingLine, clock: SteppedClock) -> None:
        self.state = state
        self.line = line
        self.clock = clock
        self.stop = Stop()
        self.ended = trio.Event()

    def counted(self, name: str, **labels: str) -> float:
        """What a counter of its metrics says."""
        full = f"hermesd_worker_{name}_total"
        return self.state.metrics.registry.get_sample_value(full, labels) or 0.0


@asynccontextmanager
async def open_world(url: str) -> AsyncIterator[World]:
    """The topology is declared."""
    async with open_line(url) as line:
        store = MemoryStore(TrioClock())
        world = World(line, store, await store.fleet.store_id())
        await declare(line, topology_of(world.names, world.config.queues))
        yield world


@asynccontextmanager
async def open_line(url: str) -> AsyncIterator[BrokerLine]:
    """A line that serves."""
    terms = LineTerms(call_timeout_seconds=20.0, get_channels=8)
    async with open_broker_line(url, terms, log=structlog.get_logger()) as line:
        await until(lambda: line.status.serving, "the broker")
        yield line


@asynccontextmanager
async def open_worker(
    world: World,
    url: str,
    handlers: Sequence[Handler],
    *,
    slots: Mapping[str, int] | None = None,
    settings: Mapping[str, Any] | None = None,
    hanging: bool = False,
) -> AsyncIterator[Worker]:
    """A worker that serves; it is cancelled at the end."""
    sections = {"queue": {"namespace": world.namespace}, **(settings or {})}
    config = msgspec.convert(sections, Config)
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    clock = SteppedClock()
    async with open_line(url) as opened:
        line = HangingLine(opened, hanging=hanging)
        state = WorkerState(
            worker_id="w1",
            version="0",
            config=config,
            clock=clock,
            catalogue=load_plugins(enabled=["(none)"], extra=handlers),
            metrics=WorkerMetrics(),
            log=structlog.get_logger(),
            slots=SlotTable({"async": 4, "thread": 2, "process": 0, **(slots or {})}),
            broker=line,
            messages=world.codec,
            address=f"127.0.0.1:{port}",
        )
        worker = Worker(state, line, clock)
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(_run, world, worker, listeners))
            yield worker
            nursery.cancel_scope.cancel()


async def _run(
    world: World,
    worker: Worker,
    listeners: Any,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    await run_worker(
        worker.state,
        listeners,
        world.link.open,
        KnownNames(),
        worker.stop,
        task_status=task_status,
    )
    worker.ended.set()


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds."""
    with trio.move_on_after(PATIENCE_SECONDS):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await trio.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE_SECONDS} s in vain for {what}")
