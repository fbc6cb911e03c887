"""Two apis on one store, joined by a bus: what one knows, the other one does."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from typing import NamedTuple

import msgspec
import pytest
import trio
from trio.testing import MockClock

from agents.scripted import ScriptedWorker
from agents.world import Api, all_in, open_api, until
from hermesd.api.invariants import CHECK_SECONDS
from hermesd.api.recount import SUSPECT_SECONDS
from hermesd.core.events import EventKind
from hermesd.core.job import Job, Owner
from hermesd.core.neighbours import PRESENT_SECONDS
from hermesd.core.records import Counts, Submission
from hermesd.core.states import State
from hermesd.core.words import Events, Moved
from hermesd.testing.memory_bus import MemoryBus, MemoryBuses

EVENTS = {"events": {"ring": 1000}}
HEALED_SECONDS = 6 * SUSPECT_SECONDS  # a busy machine makes agents look at the same moment


class Pair(NamedTuple):
    """Two apis that run, and their buses."""

    one: Api
    two: Api
    buses: tuple[MemoryBus, MemoryBus]


@asynccontextmanager
async def open_pair() -> AsyncIterator[Pair]:
    """Two apis that have met."""
    buses = MemoryBuses()
    ends = buses.join("api-1", "boot-1"), buses.join("api-2", "boot-2")
    async with (
        open_api(EVENTS, bus=ends[0]) as one,
        open_api(EVENTS, bus=ends[1], store=one.store, name="api-2", boot="boot-2") as two,
    ):
        two.clock.utc = one.clock.utc  # type: ignore[method-assign]  # one machine's time
        for api in (one, two):
            api.start()
        await until(
            lambda: not (one.state.neighbours.alone or two.state.neighbours.alone), "them to meet"
        )
        yield Pair(one, two, ends)


@pytest.fixture
async def pair(clock: MockClock) -> AsyncIterator[Pair]:
    """Two apis that have met."""
    async with open_pair() as opened:
        yield opened


async def join(api: Api, slots: int, name: str) -> ScriptedWorker:
    """A worker that only this api knows."""
    worker = ScriptedWorker(name, slots={"async": slots, "thread": 1, "process": 0})
    await worker.open(api.nursery)
    await worker.join(api)
    worker.keep_beating(api)
    return worker


def counted(api: Api) -> dict[State, int]:
    """Jobs by state, by its memory."""
    return {state: number for state, number in api.state.tally.counts().states.items() if number}


async def test_what_one_cannot_push_another_does_at_once(pair: Pair, clock: MockClock) -> None:
    """A job waits at an api without workers for no longer than a word takes."""
    worker = await join(pair.two, 2, "w2")
    begun = trio.current_time()
    answer = await pair.one.submit()
    assert answer.routed == "queue"
    await until(lambda: bool(worker.held), "the job to be sent")
    assert trio.current_time() - begun < 1
    job = await pair.one.job(answer.job.id)
    assert (job.state, job.assigned_by, job.worker_id) == (State.RUNNING, "api-2", "w2")


async def test_counts_are_those_of_the_whole_fleet(pair: Pair, clock: MockClock) -> None:
    """At both the same, whoever has done what."""
    one, two = pair.one, pair.two
    worker = await join(two, 2, "w2")
    for _ in range(3):
        await one.submit()
        await two.submit("chime")
    await until(lambda: len(worker.held) == 2, "two to run")
    await worker.report(two, worker.outcome(next(iter(worker.held))))
    await until(lambda: len(worker.held) == 2, "the next to run")
    expected = {State.QUEUED: 3, State.RUNNING: 2, State.SUCCEEDED: 1}
    await until(lambda: counted(one) == expected and counted(two) == expected, "equal counts", 2)
    assert one.state.tally.counts().waiting == two.state.tally.counts().waiting


@pytest.mark.faults
async def test_counts_converge_when_words_were_lost(pair: Pair) -> None:
    """The store heals what the bus has not told, and what a recount has counted twice.

    In real time, in which agents do not always look at the very same moment; where they do, that
    recount decides nothing, and another one comes.
    """
    one, two = pair.one, pair.two
    pair.buses[1].cut()
    for _ in range(3):
        await one.submit()
    await trio.sleep(1)
    assert counted(two) == {}
    pair.buses[1].mend()
    await until(lambda: counted(two) == {State.QUEUED: 3}, "the recount", HEALED_SECONDS)
    two.state.tally.heard({"queued": 2}, (("default", "note", 3, 2),))
    await until(lambda: counted(two) == {State.QUEUED: 3}, "the next one", HEALED_SECONDS)
    assert two.state.tally.waiting_total == 3


async def test_ended_jobs_are_counted_again_when_an_api_is_gone(
    pair: Pair, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last words may be lost; else so many are counted seldom, since it takes its time."""
    reader = pair.two.store.reader
    count = reader.counts

    async def slowly(*, live: bool = False) -> Counts:
        await trio.sleep(0 if live else 1)
        return await count(live=live)

    monkeypatch.setattr(reader, "counts", slowly)
    await trio.sleep(2 * SUSPECT_SECONDS)
    pair.two.state.tally.changed(State.SUCCEEDED, 5)
    await trio.sleep(10 * SUSPECT_SECONDS)
    assert counted(pair.two) == {State.SUCCEEDED: 5}
    pair.buses[0].cut()
    await until(lambda: not counted(pair.two), "the count of all", 10 * SUSPECT_SECONDS)


async def test_a_doubt_that_comes_during_a_count_of_all_has_another_one_follow(
    pair: Pair, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was missed then may be missing in that count."""
    two = pair.two
    reader = copy(two.store.reader)  # the other api has its own
    count, begun = reader.counts, list[float]()

    async def slowly(*, live: bool = False) -> Counts:
        if not live:
            begun.append(trio.current_time())
            await trio.sleep(1)
        return await count(live=live)

    await trio.sleep(2 * SUSPECT_SECONDS)
    monkeypatch.setattr(reader, "counts", slowly)
    monkeypatch.setattr(two.state, "reader", reader)
    two.agents.feeder.recount()
    await until(lambda: bool(begun), "the count of all")
    two.agents.feeder.recount()
    await until(lambda: len(begun) == 2, "another one", 10 * SUSPECT_SECONDS)


async def test_a_lost_word_costs_a_delay_only(pair: Pair, clock: MockClock) -> None:
    """A job of which nobody has told is found by the next recount."""
    worker = await join(pair.two, 2, "w2")
    pair.buses[0].cut()
    await pair.one.submit()
    await until(lambda: bool(worker.held), "the job to be found", 3 * SUSPECT_SECONDS)


async def test_a_running_job_is_cancelled_by_the_api_that_assigned_it(
    pair: Pair, clock: MockClock
) -> None:
    """Wherever the operator asks for it."""
    worker = await join(pair.two, 2, "w2")
    answer = await pair.two.submit()
    await until(lambda: bool(worker.held), "the job to be sent")
    await pair.one.agents.operator.cancel(answer.job.id)
    await until(lambda: asks_to_cancel(pair.two, worker, answer.job.id), "the cancel", 1)
    assert not pair.one.agents.lines.take_strays()


async def test_a_cancel_of_which_nobody_was_told_is_seen_in_the_store(
    pair: Pair, clock: MockClock
) -> None:
    """By the api that assigned the job, within seconds."""
    two = pair.two
    two.nursery.start_soon(two.agents.checker.run)
    worker = await join(two, 2, "w2")
    answer = await two.submit()
    await until(lambda: bool(worker.held), "the job to be sent")
    pair.buses[0].cut()
    await pair.one.agents.operator.cancel(answer.job.id)
    await until(lambda: asks_to_cancel(two, worker, answer.job.id), "the cancel", CHECK_SECONDS + 1)


def asks_to_cancel(api: Api, worker: ScriptedWorker, job_id: str) -> bool:
    """Whether the api tells the worker's heartbeats of it."""
    held = api.view(worker.incarnation).held.get(job_id)
    return held is not None and held.job.cancel_requested


async def test_events_are_those_of_the_whole_fleet(pair: Pair, clock: MockClock) -> None:
    """Shown at both; each happened once."""
    one, two = pair.one, pair.two
    worker = await join(two, 1, "w2")
    ids = {(await api.submit()).job.id for api in (one, two, one)}
    for _ in range(3):
        await until(lambda: bool(worker.held), "a job to run")
        await worker.report(two, worker.outcome(next(iter(worker.held))))
    await trio.sleep(1)

    def shown(api: Api) -> list[tuple[str, str]]:
        return [(event.job_id, event.kind) for event in api.state.ring.recent(100)]

    assert sorted(shown(one)) == sorted(shown(two))
    kinds = Counter(kind for job_id, kind in shown(one) if job_id in ids)
    assert kinds[EventKind.SUCCEEDED] == 3
    assert one.state.ring.totals() == two.state.ring.totals()


async def test_events_that_do_not_fit_are_counted(pair: Pair, clock: MockClock) -> None:
    """The other one says how many it does not show."""
    one, two = pair.one, pair.two
    for _ in range(700):
        one.state.ring.publish(EventKind.ERROR, job_id="j", message="x" * 100)
    await trio.sleep(5)
    events = two.state.ring.recent(1000)
    [left_out] = [event for event in events if event.kind == EventKind.LEFT_OUT]
    shown = sum(event.kind == EventKind.ERROR for event in events)
    assert left_out.message == f"{700 - shown} events of api-1 are not shown here"
    assert two.state.ring.totals()[EventKind.ERROR] == 700


async def test_whoever_waits_for_an_end_is_woken(pair: Pair, clock: MockClock) -> None:
    """By the word of the api that recorded it."""
    one, two = pair.one, pair.two
    worker = await join(two, 1, "w2")
    answer = await two.submit()
    await until(lambda: bool(worker.held), "the job to be sent")
    ended = trio.Event()

    async def wait() -> None:
        await one.agents.recorder.wait_ended(answer.job.id, 600)
        ended.set()

    one.nursery.start_soon(wait)
    await trio.sleep(1)
    await worker.report(two, worker.outcome(next(iter(worker.held))))
    with trio.fail_after(1):
        await ended.wait()


async def test_workers_of_others_are_shown(pair: Pair, clock: MockClock) -> None:
    """With what the store knows of them, and until they are gone."""
    worker = await join(pair.two, 2, "w2")
    await until(lambda: statuses(pair.one) == {"w2": "elsewhere"}, "the worker to be shown", 3)
    assert statuses(pair.two) == {"w2": "idle"}
    assert pair.one.agents.board.totals()["workers"] == 1
    view = pair.two.view(worker.incarnation)
    await pair.two.agents.reaper.bury(view, "a test", proven_dead=False)
    await until(lambda: not statuses(pair.one), "the worker to be gone", 3)


def statuses(api: Api) -> dict[str, str]:
    """The fleet as it is shown."""
    return {entry.worker_id: str(entry.status) for entry in api.agents.board.entries()}


async def test_two_that_share_a_backlog_seldom_want_the_same_job(
    pair: Pair, clock: MockClock
) -> None:
    """Each job is given out once, and only what one's share has more is wanted in vain."""
    ids = [(await pair.one.submit()).job.id for _ in range(200)]
    workers = [
        (api, await join(api, 4, name)) for api, name in ((pair.one, "w1"), (pair.two, "w2"))
    ]
    given: Counter[str] = Counter()
    with trio.fail_after(600):
        while sum(given.values()) < len(ids):
            for api, worker in workers:
                for token in list(worker.held):
                    given[token.job_id] += 1
                    await worker.report(api, worker.outcome(token))
            await trio.sleep(0.01)
    await all_in(pair.one, ids, State.SUCCEEDED)
    assert set(given.values()) == {1}
    shares = [sum(map(api.state.neighbours.mine, ids)) for api in (pair.one, pair.two)]
    more = max(shares) - len(ids) // 2  # ids are drawn by chance
    assert conflicts(pair.one) + conflicts(pair.two) <= 2 * (more + 4)  # 4: a worker's slots


def conflicts(api: Api) -> float:
    """How many jobs it wanted in vain."""
    return sum(
        sample.value
        for metric in api.state.metrics.registry.collect()
        if metric.name == "hermesd_assign_conflicts"
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


async def test_an_api_that_is_gone_is_missed_by_nobody(clock: MockClock) -> None:
    """Whoever was told that it is there forgets it, and takes its share."""
    async with open_pair() as pair:
        pair.buses[1].cut()
        await until(
            lambda: pair.one.state.neighbours.alone, "it to be forgotten", 2 * PRESENT_SECONDS
        )
        assert pair.one.state.tally.untold is None
        pair.buses[0].told.clear()
        await pair.one.submit()
        await trio.sleep(1)
        said = [word for word in pair.buses[0].told if isinstance(word, Moved | Events)]
        assert not said


async def test_one_that_leaves_says_so(pair: Pair, clock: MockClock) -> None:
    """And is not waited for."""
    pair.one.agents.telling.take_leave()
    await until(lambda: pair.two.state.neighbours.alone, "the leave", 1)


async def test_a_scheduled_job_is_released_where_its_api_is_not(
    pair: Pair, clock: MockClock
) -> None:
    """The other one knows when, and is there in time."""
    worker = await join(pair.two, 1, "w2")
    at = pair.one.clock.utc() + 7
    late = Job(
        id="late",
        type="note",
        payload=msgspec.Raw(b"{}"),
        state=State.SCHEDULED,
        owner=Owner.TIMER,
        run_at=at,
    )
    await pair.one.store.jobs.insert(Submission(jobs=(late,), keys=(None,)))
    pair.one.agents.ledger.inserted([late])
    await trio.sleep(1)
    pair.one.jobs.down = True
    await until(lambda: bool(worker.held), "the job to be sent")
    assert pair.two.clock.utc() - at < 1
    assert (await pair.two.job(late.id)).assigned_by == "api-2"
