"""The agents of both roles follow the configuration in effect, and no job notices."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock

from agents.scripted import ScriptedWorker
from agents.test_retain import DAY, MOVES, finished, left
from agents.test_worker import Doings, link_to, routable
from agents.workers import open_worker
from agents.world import Api, all_in, until
from hermesd.config import Config
from hermesd.config.live import Live
from hermesd.core.states import State
from hermesd.observe.joblines import JobLines


def act_by(live: Live, text: str) -> None:
    """Reload a configuration that is this TOML text."""
    live.reconfigure(msgspec.convert(tomllib.loads(text), Config))


@pytest.fixture
def doings() -> Doings:
    """What the handlers do."""
    return Doings()


@pytest.mark.parametrize(("before", "after"), [(0.8, 0.3), (0.8, 0.0), (0.1, 0.7)])
async def test_how_long_an_answer_waits(
    api: Api, clock: MockClock, before: float, after: float
) -> None:
    """api.dispatch_wait_seconds; submits that wait already are not cut short."""
    worker = ScriptedWorker()
    await worker.open(api.nursery)
    await worker.join(api)
    worker.scripts += [worker.take_and_hang] * 100
    act_by(api.state, f"[api]\ndispatch_wait_seconds = {before}")
    waits: dict[str, float] = {}

    async def submit(name: str) -> None:
        begun = trio.current_time()
        await api.submit()
        waits[name] = trio.current_time() - begun

    async with trio.open_nursery() as nursery:
        nursery.start_soon(submit, "before")
        await trio.sleep(0.05)
        act_by(api.state, f"[api]\ndispatch_wait_seconds = {after}")
        nursery.start_soon(submit, "after")
    assert waits["before"] == pytest.approx(before, abs=0.06)
    assert waits["after"] == pytest.approx(after, abs=0.06)


async def test_how_much_later_than_its_time_a_job_is_overruled(api: Api, clock: MockClock) -> None:
    """worker.timeout_grace_seconds, for jobs that are given out from then on."""
    worker = ScriptedWorker()
    await worker.open(api.nursery)
    await worker.join(api)
    for grace in (5.0, 50.0, 2.0):
        act_by(api.state, f"[worker]\ntimeout_grace_seconds = {grace}")
        job_id = (await api.submit(timeout=10.0)).job.id
        held = api.view(worker.incarnation).held[job_id]
        assert held.deadline - api.clock.monotonic() == pytest.approx(10 + grace, abs=1)


RETENTION = {
    "succeeded_seconds = 3600.0": {State.FAILED, State.CANCELLED},
    "failed_seconds = 3600.0": {State.SUCCEEDED, State.CANCELLED},
    "cancelled_seconds = 3600.0": {State.SUCCEEDED, State.FAILED},
    "max_finished = 1": {State.FAILED},
    "types.note.succeeded_seconds = 3600.0": {State.FAILED, State.CANCELLED},
}


@pytest.mark.parametrize(("text", "stay"), RETENTION.items(), ids=list(RETENTION))
async def test_how_long_jobs_are_kept(
    api: Api, clock: MockClock, text: str, stay: set[State]
) -> None:
    """retention.*: what was kept, and passed by already, goes by the new word."""
    ids = {(await finished(api, state))[0]: state for state in MOVES}
    await trio.sleep(DAY / 2)
    assert not await api.agents.retainer.run_once()
    act_by(api.state, f"[retention]\n{text}")
    assert (await api.agents.retainer.run_once()).total() == 3 - len(stay)
    assert {ids[each] for each in await left(api)} == stay


async def test_how_often_is_looked_and_whether_at_all(api: Api, clock: MockClock) -> None:
    """retention.interval_seconds and enabled, also in the middle of a wait."""
    act_by(api.state, "[retention]\ninterval_seconds = 1000000.0\nsucceeded_seconds = 60.0")
    api.nursery.start_soon(api.agents.retainer.run)
    await finished(api, State.SUCCEEDED)
    await trio.sleep(DAY)
    assert len(await left(api)) == 1
    act_by(api.state, "[retention]\ninterval_seconds = 5.0\nsucceeded_seconds = 60.0")
    await trio.sleep(6)
    assert await left(api) == []
    act_by(api.state, "[retention]\nenabled = false\ninterval_seconds = 5.0")
    await finished(api, State.SUCCEEDED)
    await trio.sleep(9 * DAY)
    assert len(await left(api)) == 1
    act_by(api.state, "")
    await trio.sleep(20)
    assert await left(api) == []


async def test_how_many_are_deleted_at_a_time(api: Api, clock: MockClock) -> None:
    """retention.batch."""
    await finished(api, State.SUCCEEDED, 40)
    await trio.sleep(2 * DAY)
    act_by(api.state, "[retention]\nbatch = 10")
    before = api.jobs.calls
    await api.agents.retainer.run_once()
    assert await left(api) == []
    assert api.jobs.calls - before >= 4


def offered(api: Api, incarnation: str) -> tuple[Mapping[str, int], set[str], Mapping[str, str]]:
    """Slots, queues and labels of a worker as the api knows them."""
    view = api.view(incarnation)
    return view.slots, set(view.queues), view.registration.labels


async def test_what_a_worker_offers(api: Api, clock: MockClock, doings: Doings) -> None:
    """worker.*_slots, queues and labels: told anew, under the same incarnation and stream."""
    async with open_worker(link_to(api), [doings.handler()]) as worker:
        await routable(api)
        running = [(await api.submit()).job.id for _ in range(3)]
        incarnation = worker.state.incarnation
        act_by(
            worker.state,
            "[worker]\nasync_slots = 2\nthread_slots = 6\nprocess_slots = 5\n"
            'queues = ["mail"]\nlabels = { zone = "a" }\n[queues.mail]',
        )
        wanted = ({"async": 2, "thread": 6, "process": 5}, {"mail"}, {"zone": "a"})
        await until(lambda: offered(api, incarnation) == wanted, "the new offer")
        view = api.view(incarnation)
        assert (view.free("async"), view.routable) == (0, True)
        assert len(worker.state.leases.running) == 3
        act_by(worker.state, "[worker]\nasync_slots = 4")
        await until(lambda: api.view(incarnation).free("async") == 1, "a free slot")
        assert (await api.submit()).routed == "direct"
        assert (await api.submit()).routed == "queue"
        doings.go.set()
        await all_in(api, running, State.SUCCEEDED)
    assert api.breaches() == 0


async def test_an_api_that_is_away_hears_of_it_when_it_is_back(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """The last offer counts."""
    link = link_to(api)
    async with open_worker(link, [doings.handler()]) as worker:
        await routable(api)
        link.cut = True
        for slots in (9, 8, 7):
            act_by(worker.state, f"[worker]\nasync_slots = {slots}")
            await trio.sleep(1)
        link.cut = False
        incarnation = worker.state.incarnation
        await until(lambda: offered(api, incarnation)[0]["async"] == 7, "the last offer", 60)


async def test_an_offer_whose_answer_is_lost_is_made_again(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """Until an api has answered it."""
    link = link_to(api)
    async with open_worker(link, [doings.handler()]) as worker:
        await routable(api)
        link.lost_answers = 1
        act_by(worker.state, "[worker]\nasync_slots = 9")
        registrations = len(link.calls)
        incarnation = worker.state.incarnation
        await until(lambda: offered(api, incarnation)[0]["async"] == 9, "the offer")
        await until(lambda: len(link.calls) > registrations + 1, "the second try")
        job_id = (await api.submit()).job.id
        doings.go.set()
        await all_in(api, [job_id], State.SUCCEEDED)


async def test_outcomes_that_nobody_took_stop_a_worker(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """worker.max_unreported."""
    link = link_to(api)
    doings.go.set()
    async with open_worker(link, [doings.handler()]) as worker:
        await routable(api)
        await api.submit()
        link.cut = True
        await api.submit()
        await until(lambda: bool(worker.state.leases.unsettled), "an outcome")
        assert not worker.state.clogged
        act_by(worker.state, "[worker]\nmax_unreported = 1")
        assert worker.state.clogged


@pytest.mark.parametrize("seconds", [1.0, 77.0])
async def test_how_long_a_drain_takes(
    api: Api, clock: MockClock, doings: Doings, seconds: float
) -> None:
    """drain.seconds for jobs that go on, then drain.report_seconds for apis that do not answer."""
    link = link_to(api)
    async with open_worker(link, [doings.handler()]) as worker:
        await routable(api)
        await api.submit()
        await until(lambda: bool(worker.state.leases.running), "the job")
        act_by(worker.state, f"[drain]\nseconds = {seconds}\nreport_seconds = {2 * seconds}")
        link.cut = True
        begun = trio.current_time()
        worker.stop.drain.set()
        await worker.stop.left.wait()
        assert trio.current_time() - begun == pytest.approx(3 * seconds, abs=3)


async def test_the_line_on_the_fleet(api: Api, clock: MockClock) -> None:
    """log.fleet_seconds, also in the middle of a wait."""
    lines = 0

    def count() -> None:
        nonlocal lines
        lines += 1

    api.agents.fleet_line.run_once = count  # type: ignore[method-assign]  # only when it is called
    act_by(api.state, "[log]\nfleet_seconds = 100000.0")
    api.nursery.start_soon(api.agents.fleet_line.run)
    await trio.sleep(1000)
    assert lines == 0
    act_by(api.state, "[log]\nfleet_seconds = 10.0")
    await trio.sleep(95)
    assert lines == 10


async def test_an_api_is_told_once_and_only_of_what_it_is_to_know(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """Other keys are a worker's own."""
    link = link_to(api)
    async with open_worker(link, [doings.handler()]) as worker:
        await routable(api)
        before = link.calls.count("register")
        act_by(worker.state, "[worker]\nmax_unreported = 5")
        await trio.sleep(30)
        assert link.calls.count("register") == before
        act_by(worker.state, "[worker]\nmax_unreported = 5\nasync_slots = 9")
        await trio.sleep(30)
        assert link.calls.count("register") == before + 1


async def test_how_many_lines_on_jobs_are_written(api: Api, clock: MockClock) -> None:
    """log.jobs_per_second, from the next second on."""
    lines = JobLines(structlog.get_logger(), api.state, api.clock)
    assert lines.room(500) == 100
    act_by(api.state, "[log]\njobs_per_second = 7")
    await trio.sleep(1.1)
    assert lines.room(500) == 7
    assert lines.left_out == 400 + 493
