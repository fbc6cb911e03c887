"""Finished jobs go when their time is over, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock

from agents.world import Api, open_api, until
from hermesd.api import retain
from hermesd.api.ids import JobIds
from hermesd.core.job import Job, Token
from hermesd.core.outcome import Settlement
from hermesd.core.records import Submission
from hermesd.core.states import Move, State
from hermesd.testing.listing import all_ids

DAY = 86_400.0
MOVES = {State.SUCCEEDED: Move.SUCCEED, State.FAILED: Move.FAIL, State.CANCELLED: Move.CANCEL}


async def finished(api: Api, state: State, number: int = 1, job_type: str = "note") -> list[str]:
    """The ids of jobs that end now, each made a millisecond after the other."""
    now = api.clock.utc()
    jobs = [
        running(now - (number - place) / 1000, created_at=now, type=job_type)
        for place in range(number)
    ]
    await api.store.jobs.insert(Submission(jobs=tuple(jobs), keys=(None,) * number))
    await end(api, [job.id for job in jobs], state)
    return [job.id for job in jobs]


def running(at: float, **members: Any) -> Job:
    """A job that was submitted at `at` and runs."""
    given: dict[str, Any] = {"id": JobIds().new(at), "type": "note", "payload": msgspec.Raw(b"{}")}
    given |= {"state": State.RUNNING, "lease": 1, "incarnation": "gone", "created_at": at}
    return Job(**(given | members))


async def end(api: Api, ids: Sequence[str], state: State) -> None:
    """The runs of these jobs end now; the counts are right afterwards."""
    now = api.clock.utc()
    settlements = [Settlement(token=Token(i, 1), move=MOVES[state], at=now) for i in ids]
    await api.store.jobs.settle(settlements)
    api.state.tally.reset(await api.store.reader.counts())


async def left(api: Api) -> list[str]:
    """The ids of all jobs that the store has."""
    return await all_ids(api.store.reader)


async def tally_is_right(api: Api) -> bool:
    """Whether the counts in memory are those of the store."""
    counts = await api.store.reader.counts()
    return {state: api.state.tally.states[state] for state in State} == counts.states


async def test_a_day_after_its_end_a_success_is_deleted(api: Api, clock: MockClock) -> None:
    """And a cancelled job; a failed one stays in the dead-letter queue for 30 days."""
    ids = [(await finished(api, state))[0] for state in MOVES]
    await trio.sleep(DAY - 1)
    assert not await api.agents.retainer.run_once()
    await trio.sleep(1)
    pruned = await api.agents.retainer.run_once()
    assert pruned == {State.SUCCEEDED: 1, State.CANCELLED: 1}
    assert await left(api) == [ids[1]]
    await trio.sleep(29 * DAY)
    assert await api.agents.retainer.run_once() == {State.FAILED: 1}
    assert await left(api) == []


async def test_counts_and_metric_follow(api: Api, clock: MockClock) -> None:
    """By state, without asking the store."""
    await finished(api, State.SUCCEEDED, 3)
    await finished(api, State.CANCELLED, 2)
    await finished(api, State.FAILED)
    await trio.sleep(DAY)
    await api.agents.retainer.run_once()
    assert await tally_is_right(api)
    registry = api.state.metrics.registry
    for state, number in ((State.SUCCEEDED, 3.0), (State.CANCELLED, 2.0), (State.FAILED, None)):
        value = registry.get_sample_value("hermesd_jobs_pruned_total", {"state": state})
        assert value == number


async def test_one_line_tells_of_a_pass_that_pruned(api: Api, clock: MockClock) -> None:
    """One that did not says nothing."""
    await finished(api, State.SUCCEEDED, 3)
    with structlog.testing.capture_logs() as lines:
        await api.agents.retainer.run_once()
        await trio.sleep(DAY)
        await api.agents.retainer.run_once()
    told = [line for line in lines if line["event"] == "pruned finished jobs"]
    assert [(line["log_level"], line["succeeded"]) for line in told] == [("info", 3)]


async def test_what_lives_is_never_deleted(api: Api, clock: MockClock) -> None:
    """However old it is."""
    now = api.clock.utc()
    queued = await api.submit()
    jobs = (
        running(now),
        running(now, state=State.SCHEDULED, run_at=now + 99 * DAY, incarnation=None),
    )
    await api.store.jobs.insert(Submission(jobs=jobs, keys=(None, None)))
    await trio.sleep(99 * DAY)
    assert not await api.agents.retainer.run_once()
    assert set(await left(api)) == {queued.job.id, *(job.id for job in jobs)}


async def test_types_have_times_of_their_own(clock: MockClock) -> None:
    """One keeps its successes for longer, one for a shorter time."""
    types = {"chime": {"succeeded_seconds": 3 * DAY}, "grind": {"succeeded_seconds": 60}}
    async with open_api({"retention": {"types": types}}) as api:
        ids = {
            name: (await finished(api, State.SUCCEEDED, 1, name))[0]
            for name in ("note", "chime", "grind")
        }
        await trio.sleep(60)
        await api.agents.retainer.run_once()
        assert set(await left(api)) == {ids["note"], ids["chime"]}
        await trio.sleep(DAY)
        await api.agents.retainer.run_once()
        assert await left(api) == [ids["chime"]]
        await trio.sleep(2 * DAY)
        await api.agents.retainer.run_once()
        assert await left(api) == []


async def test_a_job_that_ended_late_is_found_behind_the_walk(api: Api, clock: MockClock) -> None:
    """The walk comes back for those that were alive when it passed by."""
    late = running(api.clock.utc())
    await api.store.jobs.insert(Submission(jobs=(late,), keys=(None,)))
    await trio.sleep(2 * DAY)
    await finished(api, State.SUCCEEDED, 3)
    await trio.sleep(DAY)
    await api.agents.retainer.run_once()
    assert await left(api) == [late.id]
    await end(api, [late.id], State.SUCCEEDED)
    await trio.sleep(DAY - 1)
    await api.agents.retainer.run_once()
    assert await left(api) == [late.id]
    await trio.sleep(1)
    await api.agents.retainer.run_once()
    assert await left(api) == []


async def test_past_the_bound_the_oldest_go_first(clock: MockClock) -> None:
    """As many as are too many, in several batches, and failed ones last."""
    settings = {"retention": {"max_finished": 20, "batch": 7}}
    async with open_api(settings) as api:
        failed = await finished(api, State.FAILED, 5)
        await trio.sleep(1)
        ids = await finished(api, State.SUCCEEDED, 50)
        await trio.sleep(60)
        assert await api.agents.retainer.run_once() == {State.SUCCEEDED: 35}
        assert await left(api) == failed + ids[35:]
        assert await tally_is_right(api)
        await trio.sleep(60)
        more = await finished(api, State.CANCELLED, 3)
        await trio.sleep(60)
        assert await api.agents.retainer.run_once() == {State.SUCCEEDED: 3}
        assert await left(api) == failed + ids[38:] + more


async def test_failed_jobs_make_room_where_no_others_are_left(clock: MockClock) -> None:
    """The oldest of them, though the walk had passed them by."""
    async with open_api({"retention": {"max_finished": 4, "batch": 2}}) as api:
        failed = await finished(api, State.FAILED, 6)
        await trio.sleep(1)
        await finished(api, State.SUCCEEDED, 3)
        await trio.sleep(60)
        pruned = await api.agents.retainer.run_once()
        pruned += await api.agents.retainer.run_once()
        assert pruned == {State.SUCCEEDED: 3, State.FAILED: 2}
        assert await left(api) == failed[2:]


async def test_those_that_were_passed_by_to_make_room_still_come_of_age(clock: MockClock) -> None:
    """Where the surplus ends within a batch, the rest of it is not forgotten."""
    async with open_api({"retention": {"max_finished": 5}}) as api:
        await finished(api, State.SUCCEEDED, 8)
        await trio.sleep(60)
        assert await api.agents.retainer.run_once() == {State.SUCCEEDED: 3}
        await trio.sleep(DAY)
        assert await api.agents.retainer.run_once() == {State.SUCCEEDED: 5}


async def test_the_youngest_stay_whatever_is_asked(clock: MockClock) -> None:
    """A client that waits for its job finds it."""
    nothing = {"succeeded_seconds": 0, "max_finished": 1, "interval_seconds": 1}
    async with open_api({"retention": nothing}) as api:
        await finished(api, State.SUCCEEDED, 5)
        await trio.sleep(9.9)
        await api.agents.retainer.run_once()
        assert len(await left(api)) == 5
        await trio.sleep(0.1)
        await api.agents.retainer.run_once()
        assert await left(api) == []


async def test_a_store_that_is_away_delays_it(api: Api, clock: MockClock) -> None:
    """The agent goes on when it is back."""
    await finished(api, State.SUCCEEDED, 3)
    await trio.sleep(DAY)
    api.jobs.down = True
    api.nursery.start_soon(api.agents.retainer.run)
    await trio.sleep(60)
    assert len(await left(api)) == 3
    api.jobs.down = False

    async def gone() -> bool:
        return not await left(api)

    await until(gone, "the jobs to be deleted", 60)
    assert await tally_is_right(api)


async def test_a_deletion_whose_fate_is_unknown_is_looked_up(api: Api, clock: MockClock) -> None:
    """So that the counts stay right."""
    await finished(api, State.SUCCEEDED, 3)
    await trio.sleep(DAY)
    api.jobs.unknown = 1
    assert await api.agents.retainer.run_once() == {State.SUCCEEDED: 3}
    assert await tally_is_right(api)


async def test_switched_off_it_deletes_nothing(clock: MockClock) -> None:
    """However often the agent could have looked."""
    async with open_api({"retention": {"enabled": False}}) as api:
        api.nursery.start_soon(api.agents.retainer.run)
        await finished(api, State.SUCCEEDED)
        await trio.sleep(9 * DAY)
        assert len(await left(api)) == 1


async def test_a_pass_is_bounded(clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one goes on where it ended."""
    monkeypatch.setattr(retain, "MAX_STEPS", 2)
    async with open_api({"retention": {"batch": 10}}) as api:
        await finished(api, State.SUCCEEDED, 50)
        await trio.sleep(DAY + 1)
        pruned = [(await api.agents.retainer.run_once())[State.SUCCEEDED] for _ in range(3)]
        assert pruned == [20, 20, 10]
