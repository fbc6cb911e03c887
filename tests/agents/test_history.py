"""The history that apis keep: steps, minutes in the store, other apis, other lives."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from agents.world import Api, open_api, until
from hermesd.api.archive import Archivist
from hermesd.api.stats_views import fleet_flow_view
from hermesd.clock import TrioClock
from hermesd.core.chart import Chart
from hermesd.core.errors import OutcomeUnknown, StoreUnavailable
from hermesd.core.points import KeptPoint, Point
from hermesd.core.states import State
from hermesd.ports import Points
from hermesd.testing.memory import MemoryStore
from hermesd.testing.memory_bus import MemoryBuses


class UnsteadyPoints:
    """Points over another one: while `down` nothing is done, while `deaf` nobody knows."""

    def __init__(self, inner: Points) -> None:
        self.down = self.deaf = False
        self._inner = inner

    async def keep(self, points: Sequence[KeptPoint], *, forget_before: int) -> None:
        """See Points."""
        if self.down:
            raise StoreUnavailable("away")
        await self._inner.keep(points, forget_before=forget_before)
        if self.deaf:
            raise OutcomeUnknown("who knows")

    async def between(self, begin: int, end: int) -> Sequence[KeptPoint]:
        """See Points."""
        if self.down:
            raise StoreUnavailable("away")
        return await self._inner.between(begin, end)


def known(api: Api, seconds: int) -> list[Point]:
    """The steps of a window of which something is known."""
    return [
        point for _, point in api.agents.lookout.history.window(seconds).steps if point is not None
    ]


def total(api: Api, seconds: int) -> float:
    """How many submits a window shows."""
    return sum(point.submitted for point in known(api, seconds))


async def submit(api: Api, jobs: int) -> None:
    """Submit them as the route does, which counts them."""
    for _ in range(jobs):
        answer = await api.submit()
        api.state.metrics.submitted(answer.job.type, answer.job.queue, answer.routed)


async def full_minute(api: Api) -> None:
    """Wait until a minute is a second old."""
    await trio.sleep(61 - api.state.clock.utc() % 60)


async def test_every_five_seconds_are_a_step(api: Api, clock: MockClock) -> None:
    """With what happened in them, and what there is at their end."""
    await full_minute(api)
    api.nursery.start_soon(api.agents.lookout.ages.run)
    api.nursery.start_soon(api.agents.lookout.history.run)
    await submit(api, 3)
    cancelled = await api.submit(priority=9)
    await api.agents.operator.cancel(cancelled.job.id)
    await trio.sleep(5)
    await api.submit(priority=10)
    await trio.sleep(10)
    first, second, third = known(api, 60)
    assert [point.at % 60 for point in (first, second, third)] == [0, 5, 10]
    assert (first.submitted, first.cancelled, first.waiting) == (3, 1, (0, 0, 3, 0))
    assert (second.submitted, second.cancelled, second.waiting) == (0, 0, (1, 0, 3, 0))
    assert first.seconds == pytest.approx(4, abs=0.1)
    assert second.seconds == third.seconds == pytest.approx(5)
    assert third.oldest_seconds == pytest.approx(10, abs=0.1)  # at the look of four seconds ago
    assert third.rung == "store"


async def test_no_age_is_shown_that_no_job_has(api: Api, clock: MockClock) -> None:
    """One that waited at the last look runs by now, and others have come in its place."""
    ages = api.agents.lookout.ages
    gone = await api.submit()
    await trio.sleep(1)
    await ages.run_once()
    await trio.sleep(4)
    assert ages.oldest() == pytest.approx(1)
    await api.agents.operator.cancel(gone.job.id)
    assert ages.levels() == {}
    await api.submit()
    assert ages.oldest() == pytest.approx(1)
    await ages.run_once()
    assert ages.oldest() == pytest.approx(0, abs=0.01)
    await trio.sleep(4)
    assert ages.oldest() == pytest.approx(0, abs=0.01)


async def test_a_restart_keeps_the_charts(clock: MockClock) -> None:
    """Also of the minute in which the api was stopped; fine steps get their shares."""
    store = MemoryStore(TrioClock())
    async with open_api(boot="1", store=store) as first, open_api(boot="2", store=store) as second:
        await full_minute(first)
        first.nursery.start_soon(first.agents.lookout.history.run)
        await submit(first, 5)
        await trio.sleep(80)
        await submit(first, 7)
        await first.agents.lookout.history.leave()
        first.nursery.cancel_scope.cancel()
        second.nursery.start_soon(second.agents.lookout.history.run)
        await trio.sleep(10)
        await submit(second, 2)
        await trio.sleep(5)
        assert total(second, 3600) == total(second, 86_400) == 14
        assert total(second, 300) == pytest.approx(14)
        await full_minute(second)
        await trio.sleep(20)
        assert total(second, 3600) == total(second, 86_400) == 14
        assert second.agents.lookout.history.window(3600).step_seconds == 60


async def test_a_store_that_is_away_gets_the_minutes_later(api: Api, clock: MockClock) -> None:
    """Those of two hours; the charts of this life are whole all the while."""
    points = UnsteadyPoints(api.store.points)
    chart = Chart()
    archivist = Archivist(api.state, points, chart)
    api.nursery.start_soon(archivist.run)
    points.down = True
    begin = int(api.state.clock.utc()) // 60 * 60
    for minute in range(begin, begin + 121 * 60, 60):
        archivist.keep(Point(at=minute, seconds=60.0, submitted=1))
        await trio.sleep(60)
    assert await api.store.points.between(0, 2**40) == []
    points.down, points.deaf = False, True
    archivist.keep(Point(at=begin + 121 * 60, seconds=60.0, submitted=1))
    await trio.sleep(1)
    points.deaf = False
    archivist.keep(Point(at=begin + 122 * 60, seconds=60.0, submitted=1))
    await trio.sleep(1)
    kept = [one.point.at for one in await api.store.points.between(0, 2**40)]
    assert kept == list(range(begin + 2 * 60, begin + 123 * 60, 60))


async def test_an_api_that_starts_without_a_store_reads_it_later(
    api: Api, clock: MockClock
) -> None:
    """With its first minute that can be written."""
    now = int(api.state.clock.utc())
    old = KeptPoint(api="a", boot="0", point=Point(at=now - now % 60 - 600, seconds=60.0))
    await api.store.points.keep([old], forget_before=0)
    points, chart = UnsteadyPoints(api.store.points), Chart()
    archivist = Archivist(api.state, points, chart)
    points.down = True
    api.nursery.start_soon(archivist.run)
    await trio.sleep(1)
    assert not [point for _, point in chart.window(now, 3600).steps if point]
    points.down = False
    archivist.keep(Point(at=now - now % 60, seconds=30.0))
    await trio.sleep(15)
    shown = [at for at, point in chart.window(now, 3600).steps if point]
    assert shown == [old.point.at, now - now % 60]


async def test_apis_of_one_store_show_the_whole_fleet(clock: MockClock) -> None:
    """Each step of the others by the bus, and their minutes by the store."""
    buses = MemoryBuses()
    store = MemoryStore(TrioClock())
    async with (
        open_api(name="a", bus=buses.join("a"), store=store) as one,
        open_api(name="b", bus=buses.join("b"), store=store) as two,
    ):
        await full_minute(one)
        for api in (one, two):
            api.start()
            api.nursery.start_soon(api.agents.lookout.history.run)
        await until(
            lambda: not (one.state.neighbours.alone or two.state.neighbours.alone), "them to meet"
        )
        await submit(one, 3)
        await submit(two, 4)
        await trio.sleep(6)
        assert total(one, 60) == total(two, 60) == 7
        one.state.metrics.flow.started("note", {0.5: 3})
        two.state.metrics.flow.started("note", {8.0: 1})
        await trio.sleep(6)
        for api in (one, two):
            fleet = fleet_flow_view(api.agents.lookout.history.recent_fleet())
            assert (fleet.submitted, fleet.started, fleet.run) == (7, 4, None)
            assert fleet.wait is not None
            assert fleet.wait.p50 == pytest.approx(0.5, rel=0.03)
            assert fleet.wait.p99 == pytest.approx(8.0, rel=0.03)
        await full_minute(one)
        await trio.sleep(15)
        assert total(one, 3600) == total(two, 3600) == 7
        assert known(one, 3600)[0].seconds == pytest.approx(59, abs=0.2)


async def test_a_step_of_another_time_is_left_out(api: Api, clock: MockClock) -> None:
    """The clock of another api may be wrong."""
    now = int(api.state.clock.utc()) // 5 * 5
    for at in (now - 300, now + 300):
        api.agents.lookout.history.heard(Point(at=at, seconds=5.0, submitted=9))
    api.agents.lookout.history.heard(Point(at=now - 5, seconds=5.0, submitted=1))
    assert total(api, 900) == 1


async def test_a_clock_that_was_ahead_and_is_put_right_leaves_no_gap(
    api: Api, clock: MockClock
) -> None:
    """The charts go on at once, and what was before the error is read back from the store."""
    await full_minute(api)
    api.nursery.start_soon(api.agents.lookout.history.run)
    await submit(api, 3)
    await trio.sleep(75)
    for hours, jobs in ((5, 100), (-5, 2)):
        api.clock.step(hours * 3600)
        await trio.sleep(6)  # the step that is under way belongs to the other time
        await submit(api, jobs)
        await trio.sleep(75)
        assert total(api, 3600) == pytest.approx(jobs + (3 if hours < 0 else 0))
    assert total(api, 60) == pytest.approx(0)
    await submit(api, 1)
    await trio.sleep(6)
    assert total(api, 60) == 1


async def test_the_last_minutes_are_told_by_type(api: Api, clock: MockClock) -> None:
    """Of about five minutes, and since the start before that."""
    api.nursery.start_soon(api.agents.lookout.history.run)
    flow = api.state.metrics.flow
    flow.started("note", {0.5: 4})
    await trio.sleep(100)
    early = api.agents.lookout.history.recent()
    assert early.window_seconds == pytest.approx(100, abs=1)
    assert early.types["note"].started == early.whole().started == 4
    assert early.types["note"].wait.quantile(0.5) == pytest.approx(0.5, rel=0.03)
    await trio.sleep(300)
    flow.started("note", {2.0: 1})
    late = api.agents.lookout.history.recent()
    assert 295 <= late.window_seconds <= 340
    assert late.types["note"].started == 1


async def test_ages_are_those_of_what_waits_longest(api: Api, clock: MockClock) -> None:
    """By queue and priority; none where nothing waits."""
    api.nursery.start_soon(api.agents.lookout.ages.run)
    old = await api.submit(priority=2)
    await trio.sleep(30)
    await api.submit(priority=8)
    await trio.sleep(11)
    ages = api.agents.lookout.ages
    assert ages.levels() == {
        ("default", 2): pytest.approx(40, abs=0.1),
        ("default", 8): pytest.approx(10, abs=0.1),
    }
    assert ages.oldest() == ages.oldest("default") == pytest.approx(40, abs=0.1)
    assert ages.oldest("other") == 0
    await api.agents.operator.cancel(old.job.id)
    assert (await api.job(old.job.id)).state is State.CANCELLED
    await trio.sleep(6)
    assert ages.oldest() == pytest.approx(15, abs=0.1)
