"""What apis on one store do for one another: a dead one's jobs, workers that one cannot hear."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from agents.scripted import ScriptedWorker
from agents.several import Apis, Roads, kill, open_apis, road_to
from agents.test_endpoints import BY_ADDRESS, A, B, registered
from agents.test_worker import Doings, doings
from agents.workers import open_worker
from agents.world import Api, all_in, until
from hermesd.core.fleet import Deregistration
from hermesd.core.outcome import OutcomeKind
from hermesd.core.records import Verdict
from hermesd.core.states import State

__all__ = ["doings"]

ADOPTED_SECONDS = 30.0  # a TTL, and two passes at most


@pytest.fixture
async def apis(clock: MockClock) -> AsyncIterator[Apis]:
    """Apis over one store; none is started."""
    async with open_apis() as opened:
        yield opened


async def join(worker: ScriptedWorker, *apis: Api) -> None:
    """A worker that is routable at each of the apis, and heartbeats to those that run."""
    await worker.open(apis[0].nursery)
    for api in apis:
        await worker.join(api)


async def assigned_by(api: Api, job_id: str) -> str | None:
    """Who looks after the job."""
    return (await api.job(job_id)).assigned_by


async def until_assigned_by(api: Api, job_ids: list[str]) -> None:
    """Wait until an api looks after the jobs, and holds each once."""

    async def done() -> bool:
        return all([await assigned_by(api, i) == api.state.name for i in job_ids])

    await until(done, f"{api.state.name} to adopt {len(job_ids)} jobs", ADOPTED_SECONDS)
    held = [job_id for view in api.state.registry for job_id in view.held]
    await until(lambda: set(job_ids) <= set(held), "them to be held", 1)


async def test_a_dead_apis_jobs_are_looked_after_by_another(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """They run on under their leases; cancels reach them, and their timeouts are kept."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
        await registered(worker, first, second)
        ids = [(await first.submit(timeout=300.0)).job.id for _ in range(3)]
        await trio.sleep(ADOPTED_SECONDS)
        assert [await assigned_by(first, job_id) for job_id in ids] == ["api-1"] * 3
        roads.links[A].hang_up()
        kill(first)
        await until_assigned_by(second, ids)
        await second.agents.operator.cancel(ids[0])
        await all_in(second, ids[:1], State.CANCELLED)
        assert [(await second.job(job_id)).lease for job_id in ids] == [1, 1, 1]
        doings.go.set()
        await all_in(second, ids[1:], State.SUCCEEDED)
        assert doings.begun == 3
    assert second.breaches() == 0


async def test_an_adopted_job_that_its_worker_does_not_have_is_given_back(
    apis: Apis, clock: MockClock
) -> None:
    """The dead api had committed it, and never sent it."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    worker = ScriptedWorker()
    await worker.open(second.nursery)
    await worker.join(first)
    job_id = (await first.submit()).job.id
    worker.held.clear()
    kill(first)
    worker.number = worker.last_batch = 0
    await worker.join(second)
    worker.keep_beating(second)

    async def run_again() -> bool:
        return (await second.job(job_id)).lease == 3

    await until(run_again, "the job to be given out again", 60)
    assert (await second.job(job_id)).assigned_by == "api-2"
    assert second.breaches() == 0


async def test_an_adopted_job_is_overruled_in_time(apis: Apis, clock: MockClock) -> None:
    """Its worker does not end it, and its own api is not there to see."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    worker = ScriptedWorker()
    await worker.open(second.nursery)
    await worker.join(first)
    job_id = (await first.submit(timeout=10.0, max_attempts=1)).job.id
    kill(first)
    worker.number = worker.last_batch = 0
    await worker.join(second)
    worker.keep_beating(second)
    await all_in(second, [job_id], State.FAILED)
    assert (await second.job(job_id)).error.kind == "timeout"  # type: ignore[union-attr]


async def test_an_api_that_stood_still_lets_go_of_adopted_jobs(
    apis: Apis, clock: MockClock
) -> None:
    """It was taken for dead; it finds out at once, and adds nothing to what becomes of them."""
    first = await apis.start("api-1", running=False)
    second = await apis.start("api-2")
    worker = ScriptedWorker()
    await join(worker, first, second)
    job_id = (await first.submit()).job.id
    [token] = worker.held
    worker.number, worker.boot = 10, second.state.boot
    worker.keep_beating(second)
    await until_assigned_by(second, [job_id])
    await first.agents.adopter.run_once()
    assert not first.view(worker.incarnation).held
    assert [life.name for life in await first.store.apis.lives()] == ["api-1", "api-2"]
    await first.agents.reaper.bury(first.view(worker.incarnation), "a test", proven_dead=False)
    answer = await worker.report(second, worker.outcome(token))
    assert answer.verdicts in ((Verdict.DROPPED,), (Verdict.RECORDED,))
    assert (await second.job(job_id)).crash_count == 0
    assert first.breaches() == second.breaches() == 0


async def test_two_adopters_never_both_have_a_job(apis: Apis, clock: MockClock) -> None:
    """Of those that see its worker one gets it, and the other does not hold it."""
    first, second, third = [await apis.start(f"api-{number}") for number in (1, 2, 3)]
    workers = [ScriptedWorker(f"w{number}") for number in range(2)]
    ids = []
    for worker in workers:
        await worker.open(third.nursery)
        await worker.join(first)
        ids += [(await first.submit()).job.id for _ in range(3)]
    kill(first)
    for worker in workers:
        for api in (second, third):
            worker.number = worker.last_batch = 0
            await worker.join(api)
    for worker in workers:
        third.nursery.start_soon(_beat_both, worker, second, third)

    async def adopted() -> bool:
        return all([await assigned_by(third, i) in ("api-2", "api-3") for i in ids])

    await until(adopted, "the jobs to be adopted", ADOPTED_SECONDS)
    for job_id in ids:
        job = await third.job(job_id)
        holders = [
            api.state.name
            for api in (second, third)
            if job_id in api.view(job.incarnation or "").held
        ]
        assert holders == [job.assigned_by]


async def _beat_both(worker: ScriptedWorker, *apis: Api) -> None:
    while True:
        for api in apis:
            worker.boot = api.state.boot
            await worker.beat(api)
        await trio.sleep(2)


async def test_an_api_that_stops_leaves_its_jobs_to_the_others_at_once(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """They need not wait until it looks dead."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
        await registered(worker, first, second)
        job_id = (await first.submit()).job.id
        await second.agents.adopter.run_once()
        roads.links[A].hang_up()
        kill(first)
        await first.agents.adopter.leave()
        await second.agents.adopter.run_once()
        assert await assigned_by(second, job_id) == "api-2"


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_wall_clock_that_jumps_kills_no_api(
    apis: Apis, clock: MockClock, step: float
) -> None:
    """Nor does it keep a dead one alive."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    await trio.sleep(7)
    first.clock.step(step)
    await trio.sleep(60)
    assert [life.name for life in await first.store.apis.lives()] == ["api-1", "api-2"]
    kill(second)
    first.clock.step(-step)
    await trio.sleep(ADOPTED_SECONDS)
    assert [life.name for life in await first.store.apis.lives()] == ["api-1"]


async def test_a_worker_that_another_api_hears_is_not_evicted(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """The api that does not hear it leaves it and its jobs to the other; nothing runs twice."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
        await registered(worker, first, second)
        incarnation = worker.state.incarnation
        job_id = (await first.submit()).job.id
        roads.links[A].cut = True
        await until(lambda: first.state.registry.get(incarnation) is None, "the loss", 40)
        await until_assigned_by(second, [job_id])
        assert (await second.job(job_id)).lease == 1
        roads.links[A].cut = False
        await registered(worker, first, second)
        doings.go.set()
        await all_in(second, [job_id], State.SUCCEEDED)
        assert (worker.state.incarnation, doings.begun) == (incarnation, 1)
    assert first.breaches() == second.breaches() == 0


async def test_a_worker_that_nobody_hears_is_evicted_by_any(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """Once, and its jobs are released, whichever api had assigned them; nothing is charged."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
        await registered(worker, first, second)
        ids = [(await api.submit()).job.id for api in (first, second)]
        roads.hang_up()
        await all_in(first, ids, State.QUEUED)
        jobs = [await first.job(job_id) for job_id in ids]
        assert [(job.attempts, job.crash_count, job.lease) for job in jobs] == [(0, 0, 2)] * 2


async def test_a_proven_death_charges_the_jobs_of_all_apis(
    apis: Apis, clock: MockClock, doings: Doings
) -> None:
    """Whichever sees it first, so that a job that kills its worker cannot do so for ever."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    roads = Roads({A: road_to(first, A), B: road_to(second, B)})
    async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
        await registered(worker, first, second)
        ids = [(await api.submit()).job.id for api in (first, second)]
        worker.kill()
        with trio.fail_after(5):
            await all_in(first, ids, State.QUEUED)
        assert [(await first.job(job_id)).crash_count for job_id in ids] == [1, 1]


async def test_a_worker_that_comes_back_as_another_is_not_a_death(
    apis: Apis, clock: MockClock
) -> None:
    """One api has fenced it for its silence; to the other its address is another's now."""
    first = await apis.start("api-1", running=False)
    second = await apis.start("api-2", running=False)
    worker = ScriptedWorker()
    await join(worker, first, second)
    job_id = (await second.submit()).job.id
    await first.store.fleet.fence(worker.incarnation, silent_for_seconds=None)
    view = second.view(worker.incarnation)
    await second.agents.reaper.bury(view, "another incarnation answers", proven_dead=True)
    job = await second.job(job_id)
    assert (job.state, job.crash_count) == (State.QUEUED, 0)


async def test_a_departure_at_one_api_is_no_death_at_another(apis: Apis, clock: MockClock) -> None:
    """Its address refuses right after, and nothing is charged."""
    first, second = await apis.start("api-1"), await apis.start("api-2")
    worker = ScriptedWorker()
    await join(worker, first, second)
    job_id = (await second.submit()).job.id
    await first.agents.control.deregister(Deregistration(incarnation=worker.incarnation))
    worker.close()
    second.agents.lines.dispatcher(worker.incarnation).suspect("closed")  # type: ignore[union-attr]
    await until(lambda: second.state.registry.get(worker.incarnation) is None, "the end", 60)
    job = await second.job(job_id)
    assert (job.state, job.crash_count) == (State.QUEUED, 0)


@pytest.mark.parametrize("heard", [True, False])
async def test_a_worker_that_this_api_cannot_reach_is_dead_if_nobody_hears_it(
    apis: Apis, clock: MockClock, heard: bool
) -> None:
    """An api that starts finds its address refusing; that may be the line between the two."""
    first = await apis.start("api-1")
    worker = ScriptedWorker()
    await worker.open(first.nursery)
    await worker.join(first)
    incarnation = worker.incarnation
    job_id = (await first.submit()).job.id
    worker.close()
    kill(first)
    await apis.start("api-3", running=False)
    second = await apis.start("api-2", running=False)

    async def beat() -> None:
        while True:
            await trio.sleep(5)
            await second.store.fleet.heard([incarnation])

    if heard:
        second.nursery.start_soon(beat)
    await second.agents.absentees.run()
    job = await second.job(job_id)
    expected = (State.RUNNING, 0) if heard else (State.QUEUED, 1)
    assert (job.state, job.crash_count) == expected


async def test_one_api_does_not_judge_what_another_has_just_given_out(
    apis: Apis, clock: MockClock
) -> None:
    """The job is committed and not at its worker yet, whose heartbeat does not list it."""
    first = await apis.start("api-1", running=False)
    second = await apis.start("api-2", running=False)
    worker = ScriptedWorker()
    await join(worker, first, second)
    job_id = (await first.submit()).job.id
    [token] = worker.held
    registration = worker.registration()
    await second.agents.control.register(registration)
    second.agents.lines.adopt_later([job_id])
    await second.agents.reaper.run_once()
    assert not second.view(worker.incarnation).held
    worker.boot = second.state.boot
    await worker.beat(second, held=())
    assert (await first.job(job_id)).token == token
    answer = await worker.report(second, worker.outcome(token, OutcomeKind.SUCCEEDED))
    assert answer.verdicts == (Verdict.RECORDED,)
