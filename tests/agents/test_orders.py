"""Operators' orders to workers: given at one api, carried out by the worker, known to all apis."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from agents.scripted import ScriptedWorker
from agents.several import Roads, kill, open_apis, road_to
from agents.test_endpoints import BY_ADDRESS, A, B, registered
from agents.test_worker import Doings, doings, link_to, routable
from agents.workers import open_worker
from agents.world import Api, all_in, until
from hermesd.api.ordering import Chosen, Command, Ordered
from hermesd.core.apis import ApiLife
from hermesd.core.errors import Conflict, InvalidValue, NotFound
from hermesd.core.events import EventKind
from hermesd.core.fleet import WorkerStatus
from hermesd.core.forecast import Fate
from hermesd.core.orders import OrderKind
from hermesd.core.states import State
from hermesd.testing.links import DirectLink

__all__ = ["doings"]


async def order(api: Api, kind: OrderKind, name: str = "w1", **members: object) -> Ordered:
    """Order one worker."""
    command = msgspec.convert({"kind": kind, **members}, Command)
    [ordered] = await api.agents.ordering.give(Chosen(ids=(name,)), command)
    return ordered


async def test_a_paused_worker_takes_nothing_and_runs_on(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """What it has ends as ever; what comes waits until it is resumed."""
    async with open_worker(link_to(api), [doings.handler()]) as worker:
        await routable(api)
        before = (await api.submit()).job.id
        since = api.clock.utc()
        paused = await order(api, OrderKind.PAUSE, reason="a new disk")
        assert (paused.taken, paused.entry.status) == (True, WorkerStatus.PAUSED)
        assert paused.entry.reason == "a new disk"
        assert abs((paused.entry.since_unix or 0) - since) < 5
        answer = await api.submit()
        assert (answer.routed, answer.note) == (
            "queue",
            "queued: 1 of 1 workers can run this type, 1 paused",
        )
        doings.go.set()
        await all_in(api, [before], State.SUCCEEDED)
        await trio.sleep(30)
        assert (await api.job(answer.job.id)).state is State.QUEUED
        assert worker.state.standing.paused
        resumed = await order(api, OrderKind.RESUME)
        assert (resumed.taken, resumed.entry.since_unix, resumed.entry.reason) == (True, None, "")
        await all_in(api, [answer.job.id], State.SUCCEEDED)
        kinds = [event.kind for event in api.state.ring.recent(100)]
        assert kinds.index(EventKind.RESUMED) < kinds.index(EventKind.PAUSED)
    assert api.breaches() == 0


async def test_an_order_arrives_whatever_gets_lost(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """The answer that carries it is repeated until the worker has confirmed it."""
    link = link_to(api)
    async with open_worker(link, [doings.handler()]) as worker:
        await routable(api)
        link.lost_answers = 2
        paused = await order(api, OrderKind.PAUSE)
        assert paused.taken
        assert worker.state.standing.paused


async def test_every_api_knows_how_a_worker_stands(clock: MockClock, doings: Doings) -> None:
    """An order at one api is seen at all, and outlives them: it is the worker that holds it."""
    async with open_apis() as apis:
        first, second = await apis.start("api-1"), await apis.start("api-2")
        roads = Roads({A: road_to(first, A), B: road_to(second, B)})
        async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
            await registered(worker, first, second)
            assert (await order(first, OrderKind.PAUSE, reason="why")).taken
            view = second.view(worker.state.incarnation)
            await until(lambda: view.paused and view.reason == "why", "the other api to know", 1)
            assert (await second.submit()).routed == "queue"
            kill(first)
            again = await apis.start("api-1", "2")
            roads.links[A].service = again.agents.control
            await until(
                lambda: any(each.paused for each in again.state.registry), "its next life", 60
            )
            assert (await order(again, OrderKind.RESUME)).taken
            await until(lambda: not view.paused, "the other api to know that too", 1)


async def test_a_worker_leaves_when_it_is_told(api: Api, clock: MockClock, doings: Doings) -> None:
    """It ends its jobs first, and is not to be started again."""
    async with open_worker(link_to(api), [doings.handler()]) as worker:
        await routable(api)
        job_id = (await api.submit()).job.id
        left = await order(api, OrderKind.DRAIN, reason="old iron")
        assert (left.taken, left.entry.status) == (True, WorkerStatus.DRAINING)
        assert (await api.submit()).routed == "queue"
        with pytest.raises(Conflict, match="draining"):
            await order(api, OrderKind.RESUME)
        doings.go.set()
        await all_in(api, [job_id], State.SUCCEEDED)
        await worker.ended.wait()
        assert worker.state.standing.ordered
        assert len(api.state.registry) == 0


async def test_a_worker_that_drains_can_be_hurried(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """Then its jobs are given back, and their attempts with them."""
    async with open_worker(
        link_to(api), [doings.handler()], settings={"drain": {"seconds": 600.0}}
    ) as worker:
        await routable(api)
        job_id = (await api.submit(timeout=3000.0)).job.id
        await order(api, OrderKind.DRAIN)
        await trio.sleep(60)
        assert not worker.ended.is_set()
        await order(api, OrderKind.DRAIN, at_once=True)
        with trio.fail_after(30):
            await worker.ended.wait()
        job = await api.job(job_id)
        assert (job.state, job.attempts) == (State.QUEUED, 0)


async def test_a_worker_that_does_not_know_orders_is_left_alone_by_jobs(
    api: Api, clock: MockClock
) -> None:
    """It is unrouted at once, and the answer says that it has not confirmed."""
    api.start()
    worker = ScriptedWorker()
    await worker.open(api.nursery)
    await worker.join(api)
    worker.keep_beating(api)
    paused = await order(api, OrderKind.PAUSE)
    assert (paused.taken, paused.entry.status) == (False, WorkerStatus.PAUSED)
    assert (await api.submit()).routed == "queue"
    await order(api, OrderKind.RESUME)
    assert (await api.submit()).routed == "direct"
    await order(api, OrderKind.DRAIN)
    assert (await worker.beat(api)).drain


async def test_many_are_chosen_by_label_machine_or_all(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """Of those that are registered; one way of choosing is to be given."""
    link = link_to(api)
    zone = {"worker": {"labels": {"zone": "a"}}}
    async with (
        open_worker(link, [doings.handler()], settings=zone) as one,
        open_worker(link, [doings.handler()], name="w2"),
    ):
        await routable(api, 2)
        give, pause = api.agents.ordering.give, Command(kind=OrderKind.PAUSE)
        [ordered] = await give(Chosen(label={"zone": "a"}), pause)
        assert ordered.entry.worker_id == "w1"
        assert len(await give(Chosen(machine=one.state.machine), pause)) == 2
        assert len(await give(Chosen(everything=True), Command(kind=OrderKind.RESUME))) == 2
        twice = Chosen(ids=("w1", one.state.incarnation))
        assert len(await give(twice, pause)) == 1
        with pytest.raises(NotFound, match="no worker fits"):
            await give(Chosen(label={"zone": "b"}), pause)
        with pytest.raises(NotFound, match="GET /workers"):
            await order(api, OrderKind.PAUSE, "w3")
        for wrong in ({}, {"ids": ("w1",), "everything": True}, {"machine": "m", "ids": ("w1",)}):
            with pytest.raises(InvalidValue, match="exactly one way"):
                Chosen(**wrong)
        with pytest.raises(InvalidValue, match="drain only"):
            Command(kind=OrderKind.PAUSE, at_once=True)


async def test_a_worker_of_other_apis_is_named_as_such(clock: MockClock, doings: Doings) -> None:
    """It lives, but this api cannot reach it."""
    async with open_apis() as apis:
        first, second = await apis.start("api-1"), await apis.start("api-2")
        async with open_worker(DirectLink(first.agents.control), [doings.handler()]):
            await routable(first)
            second.nursery.start_soon(second.agents.board.follow, second.state.fleet)
            await until(lambda: bool(second.agents.board.entries()), "the store to tell")
            await first.store.apis.renew(ApiLife(name="api-1", boot="1", url="http://a1"))
            with pytest.raises(Conflict, match=r"ask one of them, api-1 \(http://a1\)"):
                await order(second, OrderKind.PAUSE)


async def test_a_drain_is_forecast(api: Api, clock: MockClock, doings: Doings) -> None:
    """By what each job has told, what is usual for its type, and the worker's own patience."""
    async with open_worker(
        link_to(api), [doings.handler()], settings={"drain": {"seconds": 100.0}}
    ) as worker:
        await routable(api)
        view = api.view(worker.state.incarnation)
        assert view.registration.drain_seconds == 100.0
        usual = (await api.submit(timeout=3000.0)).job.id
        short = (await api.submit(timeout=50.0)).job.id
        forecaster = api.agents.services().forecaster
        forecast = await forecaster.of(view.incarnation)
        fates = {each.job.id: each.guess.fate for each in forecast.jobs}
        assert fates == {usual: Fate.UNKNOWN, short: Fate.FINISHES}
        api.state.metrics.flow.ended("note", "succeed", 500.0)  # type: ignore[arg-type]  # a StrEnum
        forecast = await forecaster.of(view.incarnation)
        assert (forecast.drain_seconds, forecast.fates[Fate.HANDED_ON]) == (100.0, 1)
        doings.go.set()
        await all_in(api, [usual, short], State.SUCCEEDED)
        assert (await forecaster.of(view.incarnation)).jobs == []
