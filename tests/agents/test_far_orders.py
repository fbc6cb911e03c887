"""Orders at one api to workers that only another one has a line to."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from agents.test_orders import order
from agents.test_several import Pair, open_pair
from agents.test_worker import Doings, doings, routable
from agents.workers import open_worker
from agents.world import all_in, until
from hermesd.api.far_orders import MOST_IN_WORD, Asking
from hermesd.api.ordering import Chosen, Command
from hermesd.core.errors import Conflict, NotFound
from hermesd.core.events import EventKind
from hermesd.core.fleet import Incarnation, WorkerStatus
from hermesd.core.orders import OrderKind
from hermesd.core.states import State
from hermesd.core.words import FarOrder, FarOrderDone
from hermesd.testing.links import DirectLink

__all__ = ["doings"]

PAUSE, RESUME = Command(kind=OrderKind.PAUSE), Command(kind=OrderKind.RESUME)
ZONE = {"worker": {"labels": {"zone": "b"}}}


async def known(pair: Pair, workers: int = 1) -> None:
    """Wait until both apis know of so many."""
    await until(lambda: len(pair.one.agents.board.entries()) == workers, "the store to tell")
    for api in pair.one, pair.two:
        await routable(api, len(list(api.state.registry)))


async def test_any_api_orders_the_workers_of_another(clock: MockClock, doings: Doings) -> None:
    """As if they were its own: it waits for them, and says how they are."""
    async with (
        open_pair() as pair,
        open_worker(DirectLink(pair.two.agents.control), [doings.handler()]) as worker,
    ):
        await known(pair)
        paused = await order(pair.one, OrderKind.PAUSE, reason="a new disk", by="ann")
        assert (paused.taken, paused.entry.status) == (True, WorkerStatus.PAUSED)
        assert worker.state.standing.paused
        assert pair.two.view(worker.state.incarnation).reason == "a new disk"
        resumed = await order(pair.one, OrderKind.RESUME, name=worker.state.incarnation)
        assert (resumed.taken, resumed.entry.status) == (True, WorkerStatus.IDLE)
        job_id = (await pair.one.submit()).job.id
        await until(lambda: doings.begun > 0, "the job to run")
        left = await order(pair.one, OrderKind.DRAIN)
        assert (left.taken, left.entry.status) == (True, WorkerStatus.DRAINING)
        with pytest.raises(Conflict, match="draining, which has no way back"):
            await order(pair.one, OrderKind.RESUME)
        told = [event.message for event in pair.one.state.ring.recent(9, EventKind.PAUSED)]
        assert told == ["a new disk; by ann"]
        doings.go.set()
        await all_in(pair.one, [job_id], State.SUCCEEDED)
        await worker.ended.wait()


async def test_any_api_forecasts_the_drain_of_another_apis_worker(
    clock: MockClock, doings: Doings
) -> None:
    """By what the store knows of its jobs, and how long a drain takes where it is asked."""
    async with (
        open_pair() as pair,
        open_worker(DirectLink(pair.two.agents.control), [doings.handler()]) as worker,
    ):
        await known(pair)
        job_id = (await pair.two.submit()).job.id
        await until(lambda: doings.begun > 0, "the job to run")
        found = pair.one.agents.ordering.find("w1")
        assert (found.incarnation, found.status) == (worker.state.incarnation, "elsewhere")
        forecast = await pair.one.agents.services().forecaster.of(found.incarnation)
        assert [each.job.id for each in forecast.jobs] == [job_id]
        assert forecast.drain_seconds == pair.one.state.config.drain.seconds
        with pytest.raises(NotFound, match="no worker 'w2'"):
            pair.one.agents.ordering.find("w2")
        doings.go.set()
        await all_in(pair.one, [job_id], State.SUCCEEDED)


async def test_of_two_lives_of_a_worker_elsewhere_the_later_one_is_found(
    clock: MockClock,
) -> None:
    """Whatever their incarnations are called: the one that died is fenced only after a while."""
    async with open_pair() as pair:
        register = pair.two.state.fleet.register
        for incarnation in ("f0", "1a"):
            await register(Incarnation(incarnation=incarnation, worker_id="w1", address="h:1"))
            await trio.sleep(1)
        await known(pair, 2)
        assert pair.one.agents.ordering.find("w1").incarnation == "1a"


async def test_a_choice_means_the_whole_fleet(clock: MockClock, doings: Doings) -> None:
    """By label, machine or all: those here and those of other apis, each once."""
    async with (
        open_pair() as pair,
        open_worker(DirectLink(pair.one.agents.control), [doings.handler()]) as near,
        open_worker(
            DirectLink(pair.two.agents.control), [doings.handler()], name="w2", settings=ZONE
        ),
        open_worker(DirectLink(pair.two.agents.control), [doings.handler()], name="w3"),
    ):
        await known(pair, 3)
        give = pair.one.agents.ordering.give
        [only] = await give(Chosen(label={"zone": "b"}), PAUSE)
        assert (only.entry.worker_id, only.taken) == ("w2", True)
        for chosen, command in (
            (Chosen(machine=near.state.machine), PAUSE),
            (Chosen(ids=("w1", "w3", "w2")), RESUME),
            (Chosen(everything=True), PAUSE),
        ):
            ordered = await give(chosen, command)
            assert sorted(each.entry.worker_id for each in ordered) == ["w1", "w2", "w3"]
            assert all(each.taken for each in ordered)
        with pytest.raises(NotFound, match="no worker fits"):
            await give(Chosen(label={"zone": "c"}), PAUSE)
        with pytest.raises(NotFound, match="no worker 'w4'"):
            await give(Chosen(ids=("w1", "w4")), PAUSE)


async def test_where_nobody_answers_that_is_said(clock: MockClock, doings: Doings) -> None:
    """With the apis that can be asked; a wider choice tells who has not confirmed."""
    async with (
        open_pair() as pair,
        open_worker(DirectLink(pair.one.agents.control), [doings.handler()]),
        open_worker(DirectLink(pair.two.agents.control), [doings.handler()], name="w2"),
    ):
        await known(pair, 2)
        pair.buses[0].cut()
        begun = trio.current_time()
        with pytest.raises(Conflict, match="have not answered for it: ask one of them, api-2"):
            await order(pair.one, OrderKind.PAUSE, "w2")
        assert trio.current_time() - begun < 15
        ordered = await pair.one.agents.ordering.give(Chosen(everything=True), PAUSE)
        told = {each.entry.worker_id: (each.taken, each.entry.status) for each in ordered}
        assert told == {
            "w1": (True, WorkerStatus.PAUSED),
            "w2": (False, WorkerStatus.ELSEWHERE),
        }


async def test_answers_of_others_are_sorted_out(clock: MockClock) -> None:
    """Of many workers, by several apis, in any order; what was not asked here counts nothing."""
    async with open_pair() as pair:
        asking, bus = Asking(pair.one.state), pair.buses[0]
        names = [str(number) for number in range(MOST_IN_WORD + 1)]
        bus.told.clear()

        async def answer() -> None:
            asked = [word for word in bus.told if isinstance(word, FarOrder)]
            assert [len(word.incarnations) for word in asked] == [MOST_IN_WORD, 1]
            for taken in (False, True, False):
                for boot in ("boot-9", "boot-1"):
                    for word in reversed(asked):
                        for name in (*word.incarnations, "x"):
                            workers = ((name, "paused", taken),)
                            asking.heard(
                                FarOrderDone(boot=boot, number=word.number, workers=workers)
                            )

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            told = await asking.ask(FarOrder(kind="pause"), names, 5.0)
        assert set(told) == set(names)
        assert all(how == (WorkerStatus.PAUSED, True) for how in told.values())


async def test_an_order_that_is_not_known_is_not_answered(clock: MockClock) -> None:
    """One of a newer version."""
    async with open_pair() as pair:
        assert await pair.one.agents.ordering.obey(FarOrder(kind="dance")) == {}
