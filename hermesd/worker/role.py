"""The worker role: its agents as a nursery tree whose nesting is the shutdown order.

Services (links with their heartbeats, the reporter, the dispatch port) outlive jobs, and jobs
outlive intake: a drain refuses new jobs, gives the running ones a deadline, flushes the outcomes,
and only then leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from hermesd.core.errors import HermesError
from hermesd.core.fleet import Deregistration
from hermesd.core.job import ErrorInfo, Job, Kind
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.http.server import serve
from hermesd.observe.lag import sample_lag
from hermesd.ports import Resolver
from hermesd.worker.app import WorkerApp
from hermesd.worker.claim import Claimer, Pulled
from hermesd.worker.degraded import Degraded
from hermesd.worker.endpoints import Endpoints
from hermesd.worker.execute import Executor
from hermesd.worker.follow import Follower, pool_limits
from hermesd.worker.gauges import Gauges
from hermesd.worker.leases import Running
from hermesd.worker.link import OpenLink
from hermesd.worker.notes import NoteSender
from hermesd.worker.processes import ProcessPool
from hermesd.worker.pull import Puller
from hermesd.worker.pull_watch import PullWatch
from hermesd.worker.receive import Receiver
from hermesd.worker.report import Reporter
from hermesd.worker.state import WorkerState

# Between the interrupt of a handler and its end; threads that take longer are given up.
ENDING_SECONDS = 1.0
GONE_SECONDS = 1.0


@dataclass
class Intake:
    """The agents that get jobs from a broker; a drain ends them first."""

    puller: Puller
    degraded: Degraded

    @classmethod
    def of(cls, state: WorkerState, executor: Executor, jobs: trio.Nursery) -> Intake | None:
        """None where there is no broker; granted and unclaimed jobs begin in `jobs`."""
        if state.broker is None or state.messages is None:
            return None

        def begin(pulled: Pulled, job: Job, api_name: str) -> None:
            job = msgspec.structs.replace(job, worker_id=state.worker_id)
            deadline = state.clock.monotonic() + job.timeout
            kind, utc = pulled.handler.type.kind, state.clock.utc()
            run = Running(job, job.token, kind, api_name, utc, deadline)
            state.leases.begin(run)
            executor.begin(((run, pulled.handler),))

        degraded = Degraded(state, executor, jobs)
        claimer = Claimer(state, begin, degraded.begin)
        return cls(Puller(state, state.broker, state.messages, claimer), degraded)


class Stop:
    """When a worker is to stop: drain, or (a second signal) at once; and when it has `left`.

    After `left` it has nothing more to say or to hand back; only handlers that do not end can keep
    it from returning, and they keep it for as long as they like.
    """

    def __init__(self) -> None:
        self.drain = trio.Event()
        self.at_once = trio.Event()
        self.left = trio.Event()


async def run_worker(
    state: WorkerState,
    listeners: Sequence[Any],
    open_link: OpenLink,
    resolver: Resolver,
    stop: Stop,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop.drain`, then drain and return; `resolver` finds the apis' addresses.

    `started` is called once the dispatch port serves; the worker registers as soon as an api
    answers, before or after that. The port is bound before Register and closed last, so that a
    refusal means death.
    """
    async with trio.open_nursery() as services:
        reporter, notes = Reporter(state), NoteSender(state)
        endpoints = Endpoints(state, open_link, resolver)
        port_closed = trio.Event()
        async with trio.open_nursery() as jobs:
            pool = _pool(state, services)
            state.metrics.watch(Gauges(state, pool))
            executor = Executor(state, pool, notes, jobs)
            receiver = Receiver(state, executor)
            intake = Intake.of(state, executor, jobs)
            await services.start(
                _serve_http, state, WorkerApp(state, receiver), listeners, port_closed
            )
            services.start_soon(reporter.run)
            services.start_soon(notes.run)
            services.start_soon(executor.line.run)
            services.start_soon(sample_lag, state.lagged)
            services.start_soon(_watch_threads, state)
            services.start_soon(endpoints.run)
            puller = None if intake is None else intake.puller
            services.start_soon(Follower(state, executor, pool, endpoints, puller).run)
            if intake is not None and state.broker is not None:
                services.start_soon(intake.puller.run)
                services.start_soon(PullWatch(state, state.broker, intake.puller).run)
            task_status.started()
            await _first(stop.drain.wait, state.drain_asked.wait, state.standing.leave.wait)
            await drain(state, reporter, stop, intake)
            await pool.aclose()
            await _leave(state)
            stop.left.set()
            jobs.cancel_scope.cancel()
        port_closed.set()
        services.cancel_scope.cancel()


async def drain(
    state: WorkerState, reporter: Reporter, stop: Stop, intake: Intake | None = None
) -> None:
    """Refuse new jobs, let running ones end until the deadline, hand on the rest, flush."""
    leases = state.leases
    state.draining = True
    state.standing.leaves(state.clock.utc())
    state.slots.closed = True
    state.beat_now()
    if intake is not None:
        await intake.puller.close()
    running = len(leases.running) + len(leases.unclaimed)
    state.log.info("draining", running=running, seconds=state.config.drain.seconds)
    with trio.move_on_after(state.config.drain.seconds):
        await _first(leases.wait_idle, stop.at_once.wait, state.standing.at_once.wait)
    handed_on = len(leases.running) + len(leases.unclaimed)
    leases.interrupt_all()
    with trio.move_on_after(ENDING_SECONDS):
        await leases.wait_idle()
    _give_up(state, list(leases.running.values()))
    with trio.move_on_after(state.config.drain.report_seconds):
        if intake is not None:
            await intake.degraded.flushed()
        await reporter.flushed()
    if intake is not None:
        await intake.degraded.publish_unsettled()
    state.log.info(
        "drained",
        finished=running - handed_on,
        handed_on=handed_on,
        unreported=len(leases.unsettled) + len(leases.unpublished),
    )


def _give_up(state: WorkerState, stuck: Sequence[Running]) -> None:
    """Give back jobs whose handlers do not end: the process ends right after this."""
    for run in stuck:
        error = ErrorInfo(kind="lost-worker", message="its handler did not end with its worker")
        outcome = Outcome(
            token=run.token,
            kind=OutcomeKind.INTERRUPTED,
            error=error,
            started_at=run.started_at,
            finished_at=state.clock.utc(),
        )
        state.log.warning("handler did not end", job_id=run.job.id, type=run.job.type)
        state.leases.end(run, outcome)
    state.outcomes.set()


def _pool(state: WorkerState, nursery: trio.Nursery) -> ProcessPool:
    return ProcessPool(
        nursery,
        size=max(state.slots.totals[Kind.PROCESS], 1),
        limits=pool_limits(state.config),
        logger=state.log,
    )


async def _leave(state: WorkerState) -> None:
    """Deregister with every api that answers.

    Outcomes that no api took are lost with this process; to say goodbye gives their jobs back at
    once, and does not charge them with a process's death.
    """
    goodbye = Deregistration(incarnation=state.incarnation, reason="drained")
    with trio.move_on_after(GONE_SECONDS):
        for session in list(state.sessions.values()):
            if session.live:
                try:
                    await session.link.deregister(goodbye)
                except HermesError as error:
                    state.log.info("could not deregister", why=error.detail)


async def _serve_http(
    state: WorkerState,
    app: WorkerApp,
    listeners: Sequence[Any],
    closed: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    await serve(
        app,
        listeners,
        lambda: state.config.http,
        stopping=closed,
        drain_seconds=lambda: GONE_SECONDS,
        log=state.log,
        task_status=task_status,
    )


async def _watch_threads(state: WorkerState) -> None:
    """Threads that outlive their job's time are lost slots; too many, and the worker recycles."""
    while True:
        await trio.sleep(1.0)
        now = state.clock.monotonic()
        most = state.config.worker.max_lost_threads
        grace = state.config.worker.timeout_grace_seconds
        lost = sum(
            run.kind == Kind.THREAD and now > run.deadline + grace
            for run in state.leases.running.values()
        )
        if lost > most:
            state.log.error("too many threads do not end, recycling", lost=lost, most=most)
            state.drain_asked.set()
            return


async def _first(*waits: Any) -> None:
    """Return when the first of the waits has."""
    async with trio.open_nursery() as nursery:
        for wait in waits:
            nursery.start_soon(_cancel_after, wait, nursery.cancel_scope)


async def _cancel_after(wait: Any, scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
