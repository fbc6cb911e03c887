"""Jobs run while no api answers, and outcomes that no api takes; a real RabbitMQ throughout."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio
from brokers.rabbitmq import RabbitNode
from pulling import Worker, World, open_worker, until

from hermesd.core.errors import Busy, HermesError, StoreUnavailable
from hermesd.core.outcome import OutcomeKind
from hermesd.core.records import Claim, Verdict
from hermesd.core.states import State
from hermesd.handlers.contract import Handler, job


class Doings:
    """A handler of `note` that waits for the test."""

    def __init__(self) -> None:
        self.begun = 0
        self.attempts: list[int] = []
        self.go = trio.Event()
        self.go.set()

    @property
    def handlers(self) -> list[Handler]:
        """It alone."""

        async def note(payload: Any, ctx: Any) -> str:
            self.begun += 1
            self.attempts.append(ctx.attempt)
            await self.go.wait()
            return "done"

        return [job("note")(note)]


@pytest.fixture
def doings() -> Doings:
    """What the handler does."""
    return Doings()


def ttl_passes(worker: Worker) -> None:
    """No api has answered for so long."""
    worker.clock.stepped += worker.state.config.liveness.ttl_seconds


async def test_without_any_api_jobs_run_and_their_outcomes_wait(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """After one TTL, not before; an api takes each once, as claim and outcome."""
    world.link.cut = True
    jobs = await world.submit(jobs=10)
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: "register" in world.link.calls, "the worker to look for an api")
        assert (doings.begun, await world.waiting()) == (0, 10)
        ttl_passes(worker)
        await world.holds(world.names.outcomes, 10)
        await world.all_waiting(0)
        assert doings.begun == 10
        assert worker.counted("degraded_runs", type="note") == 10
        await until(lambda: not worker.state.leases.held(), "nothing to be held")
        assert worker.state.slots.free()["async"] == 4
    outcomes = await world.outcomes()
    assert [await world.record(each) for each in outcomes] == [Verdict.RECORDED] * 10
    assert [await world.record(each) for each in outcomes] == [Verdict.DROPPED] * 10
    await world.succeeded(jobs)
    assert set(doings.attempts) == {1}


@pytest.mark.parametrize("error", [StoreUnavailable("no disk"), Busy("too many calls")])
async def test_an_api_that_can_do_nothing_is_not_away(
    world: World, rabbitmq: RabbitNode, doings: Doings, error: HermesError
) -> None:
    """Whatever it says is an answer, to whatever it is asked."""
    world.desk.unable = error
    await world.submit()
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: "register" in world.link.calls, "the worker to look for an api")
        worker.clock.stepped += worker.state.config.liveness.ttl_seconds - 1.0
        calls = len(world.link.calls)
        await until(lambda: len(world.link.calls) > calls + 1, "it to ask again, in vain")
        worker.clock.stepped += 2.0
        assert not worker.state.degraded
        assert not doings.begun
    await world.all_waiting(1)


async def test_a_worker_that_did_not_run_does_not_take_that_for_silence(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """Neither right when it goes on, nor once it has seen how late it is."""
    world.link.cut = True
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        state, ttl = worker.state, worker.state.config.liveness.ttl_seconds
        worker.clock.stepped += ttl
        assert not state.degraded
        state.lagged(ttl)
        assert not state.degraded
        worker.clock.stepped += ttl
        state.lagged(0.0)
        assert state.degraded


async def test_what_began_without_an_api_ends_without_one(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """The api is back meanwhile; what comes from then on is claimed."""
    doings.go = trio.Event()
    world.link.cut = True
    [early] = await world.submit()
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        ttl_passes(worker)
        await until(lambda: doings.begun == 1, "the start")
        world.link.cut = False
        await until(lambda: bool(world.desk.heartbeats), "the api to be found")
        assert not worker.state.degraded
        [late] = await world.submit()
        await until(lambda: doings.begun == 2, "the other start")
        doings.go.set()
        await world.succeeded([late])
        await world.holds(world.names.outcomes, 1)
        [outcome] = await world.outcomes()
        assert outcome.outcome.token == early.token
        assert await world.record(outcome) is Verdict.RECORDED


async def test_a_claim_of_unknown_fate_is_no_second_run(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """It was granted, and the api died before it could say so: the outcome is that grant's."""
    lost = trio.Event()

    async def die() -> None:
        claims: list[Claim] = list(world.desk.claims[-1])
        await world.store.jobs.claim(claims)
        world.link.hang_up()
        lost.set()

    world.desk.before_claim = die
    [waiting] = await world.submit()
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await lost.wait()
        await until(lambda: not any(s.live for s in worker.state.sessions.values()), "the loss")
        assert (await world.job(waiting.id)).state is State.RUNNING
        ttl_passes(worker)
        await world.holds(world.names.outcomes, 1)
    [outcome] = await world.outcomes()
    assert await world.record(outcome) is Verdict.RECORDED
    assert doings.begun == 1


async def test_too_long_for_the_brokers_patience_is_left_to_an_api(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """It is returned, and what is behind it runs."""
    world.link.cut = True
    await world.submit(timeout=1800.0)
    await world.submit(timeout=1799.0)
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        ttl_passes(worker)
        await world.holds(world.names.outcomes, 1)
        await world.holds(world.names.returned, 1)
        assert doings.begun == 1
        assert worker.counted("messages_not_run", reason="too-long") == 1


async def test_a_drain_gives_back_what_would_not_end(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """Another worker may run it, whether or not an api is there."""
    doings.go = trio.Event()
    world.link.cut = True
    await world.submit()
    settings = {"drain": {"seconds": 0.0, "report_seconds": 1.0}}
    async with open_worker(world, rabbitmq.url(), doings.handlers, settings=settings) as worker:
        ttl_passes(worker)
        await until(lambda: doings.begun == 1, "the start")
        worker.stop.drain.set()
        await worker.ended.wait()
        await world.all_waiting(1)
    assert await world.ready(world.names.outcomes) == 0


async def test_a_drain_publishes_what_no_api_takes(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """As the outcome of the claimed run that it is; nothing is left unreported."""
    doings.go = trio.Event()
    jobs = await world.submit(jobs=2)
    settings = {"drain": {"seconds": 5.0, "report_seconds": 0.1}}
    async with open_worker(world, rabbitmq.url(), doings.handlers, settings=settings) as worker:
        await until(lambda: doings.begun == 2, "the start")
        world.desk.refusing = StoreUnavailable("no disk")
        world.link.hang_up()
        doings.go.set()
        worker.stop.drain.set()
        await worker.ended.wait()
        assert not worker.state.leases.unsettled
    outcomes = await world.outcomes()
    assert {each.outcome.kind for each in outcomes} == {OutcomeKind.SUCCEEDED}
    assert [await world.record(each) for each in outcomes] == [Verdict.RECORDED] * 2
    await world.succeeded(jobs)


@pytest.mark.faults
async def test_a_stalled_puller_begins_anew(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """Ready messages, free slots, and nothing taken: it is noticed, counted and ended."""
    jobs = await world.submit()
    async with open_worker(world, rabbitmq.url(), doings.handlers, hanging=True) as worker:

        def restarted() -> bool:
            worker.clock.stepped += 0.1
            return worker.counted("pull_restarts", queue="default") > 0

        await until(restarted, "it to be noticed")
        worker.line.hanging = False
        await world.succeeded(jobs)


async def test_the_workers_pages_tell_of_the_line(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """/ready and /stats name it, and a worker without a broker is ready all the same."""
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: bool(world.desk.heartbeats), "its registration")
        async with httpx.AsyncClient(base_url=f"http://{worker.state.address}") as client:
            ready = (await client.get("/ready")).json()
            assert ready["checks"]["broker"] == {"ok": True, "reason": ""}
            stats = (await client.get("/stats")).json()
            assert (stats["broker"]["connected"], stats["degraded"]) == (True, False)
            assert "hermesd_worker_broker_serving 1.0" in (await client.get("/metrics")).text


async def test_a_queue_that_was_paused_stays_so_without_any_api(
    world: World, rabbitmq: RabbitNode, doings: Doings
) -> None:
    """What was told last counts, until an api says otherwise."""
    world.desk.told = ("default",)
    async with open_worker(world, rabbitmq.url(), doings.handlers) as worker:
        await until(lambda: worker.state.paused_queues == {"default"}, "the api's word")
        world.link.cut = True
        jobs = await world.submit(jobs=3)
        await until(lambda: not any(s.live for s in worker.state.sessions.values()), "the cut")
        ttl_passes(worker)
        await until(lambda: worker.state.degraded, "it to be without an api")
        looks = world.link.calls.count("register")
        await until(lambda: world.link.calls.count("register") > looks + 3, "time to pass")
        assert (await world.waiting(), doings.begun) == (3, 0)
        world.link.cut, world.desk.told = False, ()
        await world.succeeded(jobs)
