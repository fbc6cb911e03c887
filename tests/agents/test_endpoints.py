"""A worker with several apis: its links follow the names, and its outcomes find an api."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from agents.several import Apis, Roads, kill, open_apis, road_to
from agents.test_worker import Doings, doings
from agents.workers import Worker, open_worker
from agents.world import Api, all_in, until
from hermesd.core.states import State
from hermesd.testing.names import KnownNames

__all__ = ["doings"]

A, B = "10.0.0.1:7", "10.0.0.2:7"
BY_NAME = {"control": {"endpoints": ["apis.test:7"]}}
BY_ADDRESS = {"control": {"endpoints": [A, B]}}


@pytest.fixture
async def apis(clock: MockClock) -> AsyncIterator[Apis]:
    """Apis over one store; none is started."""
    async with open_apis() as opened:
        yield opened


async def registered(worker: Worker, *apis: Api) -> None:
    """Wait until the worker can be sent jobs by each of the apis."""

    def routable() -> bool:
        views = [api.state.registry.get(worker.state.incarnation) for api in apis]
        return all(view is not None and view.routable for view in views)

    await until(routable, f"the worker to be routable at {len(apis)} apis", 60)


async def test_a_name_with_two_addresses_leads_to_two_apis(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """Each has the worker, and either can give it jobs."""
    doings.go.set()
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    names = KnownNames({"apis.test": ["10.0.0.1", "10.0.0.2"]})
    async with open_worker(roads, [doings.handler()], settings=BY_NAME, names=names) as worker:
        await registered(worker, first, second)
        for api in (first, second):
            answer = await api.submit()
            assert answer.routed == "direct"
            await all_in(api, [answer.job.id], State.SUCCEEDED)
        assert sorted(worker.state.sessions) == ["api-1", "api-2"]


async def test_a_new_address_is_found_within_half_a_minute(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """Without anything being lost before."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    names = KnownNames({"apis.test": ["10.0.0.1"]})
    async with open_worker(roads, [doings.handler()], settings=BY_NAME, names=names) as worker:
        await registered(worker, first)
        names.names["apis.test"] = ["10.0.0.1", "10.0.0.2"]
        await trio.sleep(32)
        await registered(worker, second)


async def test_a_lost_link_makes_the_worker_look_at_once(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """The api has moved to another address: it is found there after a second or two."""
    first = await apis.start("api-1")
    roads = Roads({A: road_to(first, A), B: road_to(first, B)})
    names = KnownNames({"apis.test": ["10.0.0.1"]})
    async with open_worker(roads, [doings.handler()], settings=BY_NAME, names=names) as worker:
        await registered(worker, first)
        names.names["apis.test"] = ["10.0.0.2"]
        roads.links[A].hang_up()
        worker.state.beat_now()
        await until(lambda: B in roads.opened, "the other address", 3)
        await until(lambda: worker.state.sessions["api-1"].link.endpoint == B, "the session", 5)
        await registered(worker, first)


async def test_a_resolution_that_fails_costs_no_link(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """What was known last is kept for as long as nobody knows better."""
    first = await apis.start("api-1")
    roads = Roads({A: road_to(first, A)})
    names = KnownNames({"apis.test": ["10.0.0.1"]})
    async with open_worker(roads, [doings.handler()], settings=BY_NAME, names=names) as worker:
        await registered(worker, first)
        names.down = True
        before = names.asked
        await trio.sleep(70)
        assert names.asked >= before + 2
        assert worker.state.sessions["api-1"].live
        assert roads.opened == [A]


async def test_a_name_that_comes_late_is_found(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """The worker starts before its apis have a name at all."""
    first = await apis.start("api-1")
    names = KnownNames()
    roads = Roads({A: road_to(first, A)})
    async with open_worker(roads, [doings.handler()], settings=BY_NAME, names=names) as worker:
        await trio.sleep(20)
        names.names["apis.test"] = ["10.0.0.1"]
        await trio.sleep(7)
        await registered(worker, first)


async def test_an_api_without_a_name_is_left_when_its_jobs_have_ended(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """Until then it is heartbeaten; the worker is not taken for dead, as the other hears it."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    names = KnownNames({"apis.test": ["10.0.0.1", "10.0.0.2"]})
    async with open_worker(roads, [doings.handler()], settings=BY_NAME, names=names) as worker:
        await registered(worker, first, second)
        incarnation = worker.state.incarnation
        job_id = (await first.submit()).job.id
        names.names["apis.test"] = ["10.0.0.2"]
        await trio.sleep(65)
        assert worker.state.sessions["api-1"].live
        doings.go.set()
        await all_in(first, [job_id], State.SUCCEEDED)
        await until(lambda: "api-1" not in worker.state.sessions, "the link to end", 45)
        await trio.sleep(25)
        assert worker.state.incarnation == incarnation
        assert first.state.registry.get(incarnation) is None
        await registered(worker, second)


async def test_two_addresses_of_one_api_are_harmless(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """One link works and the other stands by, and takes over when the first is lost."""
    first = await apis.start("api-1")
    roads = Roads({A: road_to(first, A), B: road_to(first, B)})
    async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
        await registered(worker, first)
        await trio.sleep(20)
        job_id = (await first.submit()).job.id
        session = worker.state.sessions["api-1"]
        working = session.link.endpoint
        other = B if working == A else A
        assert roads.links[other].calls == ["register"]
        roads.links[working].hang_up()
        worker.state.beat_now()
        await until(lambda: session.live and session.link.endpoint == other, "the other link", 5)
        doings.go.set()
        await all_in(first, [job_id], State.SUCCEEDED)
        assert doings.begun == 1
        assert worker.state.sessions["api-1"] is session
    assert first.breaches() == 0


async def test_two_apis_of_one_name_do_not_make_the_worker_spin(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """A misconfiguration: the links take turns, with pauses."""
    first, second = await apis.start("api-1"), await apis.start("api-1", "2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS):
        await trio.sleep(30)
        calls = roads.links[A].calls + roads.links[B].calls
        assert calls.count("register") <= 20


async def test_outcomes_go_to_another_api_when_the_assigning_one_is_gone(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """Within a second or two, once; when the api is back it has nothing to add."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
        await registered(worker, first, second)
        ids = [(await first.submit()).job.id for _ in range(3)]
        roads.links[A].hang_up()
        kill(first)
        doings.go.set()
        with trio.fail_after(2):
            await all_in(second, ids, State.SUCCEEDED)
        assert roads.links[B].calls.count("report") >= 1
        back = await apis.start("api-1", "2")
        roads.links[A].service = back.agents.control
        roads.links[A].cut = False
        await registered(worker, back)
        await trio.sleep(20)
        jobs = [await back.job(job_id) for job_id in ids]
        assert [(job.state, job.lease, job.attempts) for job in jobs] == [
            (State.SUCCEEDED, 1, 1)
        ] * 3
        assert doings.begun == 3
    assert back.breaches() == second.breaches() == 0


async def test_outcomes_go_to_the_assigning_api_while_it_is_there(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """It knows the job, and need not read it."""
    doings.go.set()
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
        await registered(worker, first, second)
        job_id = (await second.submit()).job.id
        await all_in(second, [job_id], State.SUCCEEDED)
        assert "report" not in roads.links[A].calls
        assert roads.links[B].calls.count("report") == 1
