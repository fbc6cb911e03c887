"""An api over a store in memory that can be made to fail, and what tests ask of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from agents.wiring import parts_over, state_over
from hermesd.api.admission import JobRequest
from hermesd.api.agents import ApiAgents
from hermesd.api.alone import Alone
from hermesd.api.brokerside import BrokerSide
from hermesd.api.state import ApiState
from hermesd.api.submit import SubmitAnswer
from hermesd.clock import TrioClock
from hermesd.config import Config
from hermesd.core.job import Job, Kind
from hermesd.core.jobtype import JobType
from hermesd.core.states import State
from hermesd.core.workerview import WorkerView
from hermesd.observe.metrics import ApiMetrics
from hermesd.ports import Bus, JobQueue
from hermesd.queues.embedded import EmbeddedQueue
from hermesd.testing.memory import MemoryStore
from hermesd.testing.outages import UnsteadyJobs

TYPES = (
    JobType(name="note", kind=Kind.ASYNC),
    JobType(name="chime", kind=Kind.ASYNC),
    JobType(name="grind", kind=Kind.THREAD),
)


class SteppedClock(TrioClock):
    """Its UTC can be set forward or back, as an operator would."""

    def __init__(self) -> None:
        super().__init__()
        self._stepped = 0.0
        self._passed = 0.0

    def step(self, seconds: float) -> None:
        """Set the wall clock."""
        self._stepped += seconds

    def let_pass(self, seconds: float) -> None:
        """Let time pass that nobody waits for."""
        self._passed += seconds

    def utc(self) -> float:
        """Seconds since the epoch, as set."""
        return super().utc() + self._stepped + self._passed

    def monotonic(self) -> float:
        """Seconds since some moment, and what was let pass."""
        return super().monotonic() + self._passed


@dataclass
class Api:
    """One life of one api."""

    state: ApiState
    agents: ApiAgents
    store: MemoryStore
    jobs: UnsteadyJobs
    clock: SteppedClock
    nursery: trio.Nursery

    async def submit(self, type_name: str = "note", **members: Any) -> SubmitAnswer:
        """Submit one job."""
        [answer] = await self.agents.submitter.submit([JobRequest(type=type_name, **members)])
        return answer

    async def job(self, job_id: str) -> Job:
        """The job as the store has it."""
        job = await self.store.reader.get(job_id)
        assert job is not None
        return job

    def view(self, incarnation: str) -> WorkerView:
        """A registered worker."""
        view = self.state.registry.get(incarnation)
        assert view is not None
        return view

    def start(self) -> None:
        """Let the agents run by themselves."""
        agents = self.agents
        for agent in (agents.reaper, agents.feeder, agents.timer, agents.adopter, agents.queues):
            self.nursery.start_soon(agent.run)
        if self.state.bus.shared:
            self.nursery.start_soon(self.agents.follow_others)

    def breaches(self) -> float:
        """What the invariants' metric counts."""
        samples = (
            sample.value
            for metric in self.state.metrics.registry.collect()
            if metric.name == "hermesd_invariant_breaches"
            for sample in metric.samples
            if sample.name.endswith("_total")
        )
        return sum(samples)


@asynccontextmanager
async def open_api(
    settings: Mapping[str, Any] | None = None,
    *,
    store: MemoryStore | None = None,
    boot: str = "boot-1",
    name: str = "api-1",
    side: Callable[..., tuple[JobQueue, BrokerSide]] | None = None,
    bus: Bus | None = None,
) -> AsyncIterator[Api]:
    """An api that has recalled its state; its agents do not run yet.

    `side` makes the broker's side of it, from the jobs, the store's id and who counts publishes.
    """
    config = msgspec.convert(settings or {}, Config)
    clock = SteppedClock()
    store = store or MemoryStore(clock)
    jobs = UnsteadyJobs(store.jobs)
    metrics, broker = ApiMetrics(), None
    queue: JobQueue = EmbeddedQueue(jobs)
    if side is not None:
        queue, broker = side(jobs, await store.fleet.store_id(), metrics.published)
    state = await state_over(
        store,
        config,
        clock,
        name=name,
        boot=boot,
        jobs=jobs,
        queue=queue,
        metrics=metrics,
        broker=broker.broker if broker is not None else None,
        bus=bus or Alone(),
    )
    async with trio.open_nursery() as nursery:
        parts = parts_over(store, installed=TYPES, broker=broker)
        agents = ApiAgents(state, parts, nursery)
        await agents.recall()
        yield Api(state, agents, store, jobs, clock, nursery)
        nursery.cancel_scope.cancel()


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str, seconds: float = 300
) -> None:
    """Wait, in the test clock's time, until a condition holds."""
    with trio.move_on_after(seconds):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await trio.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


async def all_in(api: Api, ids: Sequence[str], *states: State) -> None:
    """Wait until all jobs are in one of these states."""

    async def reached() -> bool:
        return all([(await api.job(job_id)).state in states for job_id in ids])

    await until(reached, f"{len(ids)} jobs to be {', '.join(states)}")
