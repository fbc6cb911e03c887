"""Schedules fire at their times and each fire once, whatever clocks, stores and other apis do."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from agents.world import Api, SteppedClock, open_api, until
from hermesd.core.job import Job, Kind
from hermesd.core.jobtype import JobType
from hermesd.core.records import JobFilter
from hermesd.core.schedule import Schedule, ScheduleDefinition
from hermesd.core.states import State
from hermesd.testing.memory import MemoryStore
from hermesd.testing.outages import UnsteadySchedules

MINUTELY = "* * * * *"
HOUR = 3600.0


@pytest.fixture
async def api(clock: MockClock) -> AsyncIterator[Api]:
    """An api whose scheduler runs; its wall clock is on the minute."""
    async with open_api() as opened:
        run(opened)
        yield opened


def run(api: Api, like: Api | None = None) -> None:
    """Start the scheduler, with a wall clock like another api's."""
    if like is not None:
        api.clock.step(like.clock.utc() - api.clock.utc())
    api.nursery.start_soon(api.agents.scheduler.run)


async def make(api: Api, name: str = "s", cron: str = MINUTELY, **members: Any) -> Schedule:
    """A new schedule of a job without a worker."""
    definition = ScheduleDefinition(**({"cron": cron, "type": "note"} | members))
    return await api.agents.schedules.create(name, definition)


async def jobs_of(api: Api) -> list[Job]:
    """All jobs, oldest first."""
    page = await api.store.reader.page(JobFilter(), None, 10_000)
    return list(reversed(page.jobs))


async def fires(api: Api, since: float, name: str = "s") -> list[tuple[float, str]]:
    """Seconds after `since` and kind of each fire, oldest first."""
    records = await api.store.schedules.fires(name, 10_000)
    return [(record.time - since, str(record.kind)) for record in reversed(records)]


async def no_fire_twice_or_early(api: Api) -> int:
    """Check it over all jobs; how many there are."""
    jobs = await jobs_of(api)
    seen = Counter((job.labels["schedule"], job.labels["fire_time"]) for job in jobs)
    assert [fire for fire, times in seen.items() if times > 1] == []
    for schedule in await api.store.schedules.all(100):
        for record in await api.store.schedules.fires(schedule.name, 10_000):
            assert record.created_at >= record.time
    return len(jobs)


async def test_a_schedule_fires_at_each_of_its_times(api: Api, clock: MockClock) -> None:
    """Its jobs wait as submitted ones do, and say what fired them."""
    begin = api.clock.utc()
    await make(api, payload=msgspec.Raw(b'{"n": 1}'), labels={"team": "a"}, priority="high")
    await trio.sleep(150)
    assert await fires(api, begin) == [(60, "fired"), (120, "fired")]
    first, second = await jobs_of(api)
    assert (first.created_at - begin, second.created_at - begin) == (60, 120)
    assert (first.type, first.state, first.priority) == ("note", State.QUEUED, 7)
    assert bytes(first.payload) == b'{"n": 1}'
    assert first.labels == {
        "team": "a",
        "schedule": "s",
        "fire_time": "2027-01-15T08:01:00.000000Z",
    }
    assert api.state.tally.waiting_total == 2


async def test_a_fired_job_is_given_to_a_worker_at_once(api: Api, clock: MockClock) -> None:
    """The feeder is woken, and the event ring tells who fired it."""
    await make(api)
    await trio.sleep(61)
    [event] = [one for one in api.state.ring.recent(10) if one.kind == "queued"]
    assert event.message == "fired by schedule s"


async def test_a_new_schedule_wakes_the_scheduler(api: Api, clock: MockClock) -> None:
    """It does not wait for its next look."""
    await trio.sleep(1.5)
    begin = api.clock.utc() - 0.5
    await make(api, cron="@every 1s")
    await trio.sleep(2.2)
    assert [time for time, _ in await fires(api, begin)] == [1, 2]


async def test_a_paused_schedule_does_not_fire_and_nothing_is_made_up_for(
    api: Api, clock: MockClock
) -> None:
    """Resumed, it goes on with its next time."""
    begin = api.clock.utc()
    await make(api)
    await trio.sleep(70)
    await api.agents.schedules.pause("s")
    await trio.sleep(200)
    await api.agents.schedules.resume("s")
    await trio.sleep(60)
    assert [time for time, _ in await fires(api, begin)] == [60, 300]


async def test_a_deleted_schedule_fires_no_more(api: Api, clock: MockClock) -> None:
    """Also if it was to fire just now."""
    await make(api)
    await trio.sleep(59.99)
    await api.agents.schedules.delete("s")
    await trio.sleep(100)
    assert await jobs_of(api) == []


async def test_schedulers_of_two_apis_fire_each_time_once(clock: MockClock) -> None:
    """200 fires, nobody leads, and both have a part in it."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(open_api(name="one"))
        two = await stack.enter_async_context(open_api(name="two", store=one.store))
        for n in range(10):
            await make(one if n % 2 else two, f"s{n}", "@every 1s")
        for each in (one, two):
            run(each)
        await trio.sleep(20.5)
        assert await no_fire_twice_or_early(one) == 200
        accepted = [each.state.metrics.accepted for each in (one, two)]
        assert sum(accepted) == 200
        assert one.breaches() + two.breaches() == 0


async def test_one_api_goes_on_where_another_was_killed(clock: MockClock) -> None:
    """Ten times; no fire is left out or doubled."""
    async with open_api() as keeper:
        begin = keeper.clock.utc()
        await make(keeper, cron="@every 1s", misfire="catch-up", catch_up_limit=100)
        for n in range(10):
            async with open_api(name="other", boot=f"b{n}", store=keeper.store) as mortal:
                run(mortal, keeper)
                await trio.sleep(3.3 + n / 7)
            await trio.sleep(0.9)
        run(keeper)
        await trio.sleep(1.5)
        count = await no_fire_twice_or_early(keeper)
        assert count == int(keeper.clock.utc() - begin)


@pytest.mark.parametrize(("misfire", "made_up"), [("skip", 0), ("run-once", 1), ("catch-up", 7)])
async def test_what_was_missed_while_no_api_ran_follows_the_policy(
    clock: MockClock, misfire: str, made_up: int
) -> None:
    """The schedule's next time is in the store, so that it is known."""
    store = MemoryStore(SteppedClock())
    async with open_api(store=store) as before:
        begin = before.clock.utc()
        await make(before, misfire=misfire, misfire_grace_seconds=20.0, catch_up_limit=7)
    await trio.sleep(10 * 60 + 30)
    async with open_api(store=store) as after:
        run(after, before)
        await trio.sleep(60)
        found = await fires(after, begin)
        fired = [time for time, kind in found if kind == "fired"]
        late = [600.0 - 60 * n for n in reversed(range(made_up))]
        assert fired == [*late, 660.0]
        assert [time for time, kind in found if kind == "missed"] == [600.0 - 60 * made_up]
        assert await no_fire_twice_or_early(after) == len(fired)


async def test_a_clock_set_forward_makes_fires_missed_and_not_early(
    api: Api, clock: MockClock
) -> None:
    """One run stands for the hour; then it goes on by the new time."""
    begin = api.clock.utc()
    await make(api)
    await trio.sleep(90)
    api.clock.step(HOUR)
    await trio.sleep(120)
    found = await fires(api, begin)
    assert found[0] == (60, "fired")
    fired = [time for time, kind in found if kind == "fired"]
    # 90 s and an hour are 61:30; it is seen within 15 s.
    assert fired == [60, 3660, 3720, 3780]
    assert await no_fire_twice_or_early(api) == 4


async def test_a_clock_set_back_fires_no_time_twice_and_goes_on(api: Api, clock: MockClock) -> None:
    """The times that come again are known; the first new one fires."""
    begin = api.clock.utc()
    await make(api)
    await trio.sleep(HOUR + 30)
    assert len(await jobs_of(api)) == 60
    api.clock.step(-HOUR)
    await trio.sleep(HOUR - 40)
    assert len(await jobs_of(api)) == 60
    await trio.sleep(120)
    assert [time for time, _ in await fires(api, begin)] == [60.0 * n for n in range(1, 62)]
    assert await no_fire_twice_or_early(api) == 61


async def test_a_clock_set_forward_by_mistake_and_back_does_not_stop_a_schedule(
    api: Api, clock: MockClock
) -> None:
    """The next time that it left too far ahead is set right."""
    begin = api.clock.utc()
    await make(api, misfire="skip")
    await trio.sleep(90)
    api.clock.step(10 * 365 * 24 * HOUR)
    await trio.sleep(60)
    api.clock.step(-10 * 365 * 24 * HOUR)
    await trio.sleep(200)
    times = [time for time, kind in await fires(api, begin) if kind == "fired" and time < HOUR]
    assert times == [60, 180, 240, 300]
    await no_fire_twice_or_early(api)


async def test_a_fire_is_left_out_while_the_last_ones_job_lives(api: Api, clock: MockClock) -> None:
    """Once it has ended the next one fires."""
    begin = api.clock.utc()
    await make(api, overlap="skip")
    await trio.sleep(190)
    [job] = await jobs_of(api)
    await api.agents.operator.cancel(job.id)
    await trio.sleep(60)
    kinds = [kind for _, kind in await fires(api, begin)]
    assert kinds == ["fired", "overlapped", "overlapped", "fired"]
    assert len(await jobs_of(api)) == 2


async def test_jitter_starts_jobs_later_and_the_same_at_each_api(
    api: Api, clock: MockClock
) -> None:
    """They are scheduled until then; the fire is at its own time."""
    begin = api.clock.utc()
    api.nursery.start_soon(api.agents.timer.run)
    for n in range(20):
        await make(api, f"s{n}", jitter_seconds=30.0)
    await trio.sleep(61)
    jobs = await jobs_of(api)
    assert len(jobs) == 20
    delays = [(job.run_at or 0.0) - begin - 60 for job in jobs if job.state is State.SCHEDULED]
    assert len(delays) > 15
    assert len({round(delay, 3) for delay in delays}) == len(delays)
    assert all(0 < delay < 30 for delay in delays)
    await trio.sleep(30)
    assert {job.state for job in await jobs_of(api)} >= {State.QUEUED}
    assert not [job for job in await jobs_of(api) if job.state is State.SCHEDULED][20:]


async def test_a_job_that_cannot_be_submitted_any_more_is_refused_and_told(
    api: Api, clock: MockClock
) -> None:
    """Its type's schema has changed since; once it fits again, it fires."""
    begin = api.clock.utc()
    await make(api, type="chime")
    strict = JobType(name="chime", kind=Kind.ASYNC, schema={"required": ["n"]})
    await api.agents.catalogue.learn([strict], "w")
    await trio.sleep(70)
    assert await jobs_of(api) == []
    await api.agents.catalogue.learn([JobType(name="chime", kind=Kind.ASYNC)], "w")
    await trio.sleep(60)
    assert await fires(api, begin) == [(60, "refused"), (120, "fired")]


async def test_a_fire_waits_while_the_queue_is_full(clock: MockClock) -> None:
    """Like a submit it is not accepted; it is tried again, others fire meanwhile."""
    settings = {"queues": {"small": {"max_waiting": 1}}}
    async with open_api(settings) as api:
        begin = api.clock.utc()
        await make(api, "full", queue="small", misfire_grace_seconds=300.0)
        await make(api, "free")
        run(api)
        waiting = await api.submit(queue="small")
        await trio.sleep(100)
        assert (await fires(api, begin, "full"), await fires(api, begin, "free")) == (
            [],
            [(60, "fired")],
        )
        await api.agents.operator.cancel(waiting.job.id)
        await trio.sleep(2)
        assert await fires(api, begin, "full") == [(60, "fired")]


async def test_a_store_that_is_away_delays_fires_and_loses_none(clock: MockClock) -> None:
    """Also where it does not say whether a fire was stored."""
    store = MemoryStore(SteppedClock())
    unsteady = UnsteadySchedules(store.schedules)
    store.schedules = unsteady  # type: ignore[assignment]  # a wrapper of the same port
    async with open_api(store=store) as api:
        begin = api.clock.utc()
        api.nursery.start_soon(api.agents.feeder.run)
        await make(api, misfire="catch-up")
        run(api)
        for moment in range(6):
            await trio.sleep(45)
            unsteady.down = bool(moment % 2)
            unsteady.unknown = 1
        unsteady.down = False
        await trio.sleep(40)
        times = [time for time, _ in await fires(api, begin)]
        assert times == [60.0 * n for n in range(1, 6)]
        assert await no_fire_twice_or_early(api) == 5
        await until(lambda: api.state.tally.waiting_total == 5, "the counts to be right")


async def test_a_job_that_the_store_does_not_take_is_refused(clock: MockClock) -> None:
    """The schedule goes on."""
    store = MemoryStore(SteppedClock())
    choosy = UnsteadySchedules(store.schedules)
    store.schedules = choosy  # type: ignore[assignment]  # a wrapper of the same port
    async with open_api(store=store) as api:
        begin = api.clock.utc()
        await make(api)
        run(api)
        choosy.choosy = True
        await trio.sleep(70)
        choosy.choosy = False
        await trio.sleep(60)
        assert await fires(api, begin) == [(60, "refused"), (120, "fired")]


async def test_old_fires_are_forgotten(api: Api, clock: MockClock) -> None:
    """A day and a bit of them are kept, and a hundred at least."""
    begin = api.clock.utc()
    await make(api, "often", "*/10 * * * *")
    await make(api, "rarely", "0 0 1 * *")
    for name in ("often", "rarely"):
        await api.agents.schedules.trigger(name)
    for _ in range(36 * 6):
        api.clock.let_pass(585)
        await trio.sleep(15)
    kept = [time for time, _ in await fires(api, begin, "often")]
    assert 25 * 6 <= len(kept) <= 25 * 6 + 2
    assert [kind for _, kind in await fires(api, begin, "rarely")] == ["triggered"]


TICK = {"cron": MINUTELY, "type": "note"}


async def test_the_configurations_schedules_follow_it(clock: MockClock) -> None:
    """Made, changed and deleted as an api starts; those of clients stay."""
    store = MemoryStore(SteppedClock())
    async with open_api({"schedules": {"a": TICK, "b": TICK}}, store=store) as first:
        await make(first, "c")
    changed = {"schedules": {"a": TICK | {"cron": "@daily"}}}
    async with open_api(changed, store=store) as second:
        found = {one.name: one for one in await second.agents.schedules.all()}
        assert {name: str(one.source) for name, one in found.items()} == {"a": "config", "c": "api"}
        assert (found["a"].definition.cron, found["a"].revision) == ("@daily", 2)
        assert found["c"].revision == 1


async def test_a_pause_and_a_next_time_outlive_a_restart(clock: MockClock) -> None:
    """An unchanged schedule is left as it is."""
    settings = {"schedules": {"a": TICK, "b": TICK}}
    store = MemoryStore(SteppedClock())
    async with open_api(settings, store=store) as first:
        before = await first.agents.schedules.get("a")
        await first.agents.schedules.pause("b")
    await trio.sleep(300)
    async with open_api(settings, store=store) as second:
        assert await second.agents.schedules.get("a") == before
        assert (await second.agents.schedules.get("b")).paused
    async with open_api({"schedules": {"b": TICK | {"cron": "@daily"}}}, store=store) as third:
        held = await third.agents.schedules.get("b")
        assert (held.paused, held.next_at, held.definition.cron) == (True, None, "@daily")


async def test_the_configuration_takes_over_a_schedule_of_its_name(clock: MockClock) -> None:
    """From then on it is the configuration's."""
    store = MemoryStore(SteppedClock())
    async with open_api(store=store) as first:
        await make(first, "a", "@daily")
    async with open_api({"schedules": {"a": TICK}}, store=store) as second:
        found = await second.agents.schedules.get("a")
        assert (str(found.source), found.definition.cron) == ("config", MINUTELY)


async def test_a_schedule_of_a_type_that_is_not_known_yet_is_kept(clock: MockClock) -> None:
    """It fires as soon as a worker has registered its type."""
    settings = {"schedules": {"a": {"cron": MINUTELY, "type": "later"}}}
    async with open_api(settings) as api:
        begin = api.clock.utc()
        run(api)
        await trio.sleep(70)
        await api.agents.catalogue.learn([JobType(name="later", kind=Kind.ASYNC)], "w")
        await trio.sleep(60)
        assert await fires(api, begin, "a") == [(60, "refused"), (120, "fired")]
