"""Queues that operators pause: jobs are accepted, and nobody starts them until they are resumed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agents.scripted import ScriptedWorker
from agents.test_several import Pair, open_pair
from agents.world import Api, all_in, open_api, until
from hermesd.api.queuebook import LOOK_SECONDS
from hermesd.core.errors import NotFound, StoreUnavailable
from hermesd.core.events import EventKind
from hermesd.core.job import Token
from hermesd.core.records import Claim, ClaimVerdict
from hermesd.core.states import State
from hermesd.testing.memory import MemoryStore

SETTINGS: dict[str, Any] = {"queues": {"bulk": {}}}


@pytest.fixture
async def api(clock: MockClock) -> AsyncIterator[Api]:
    """An api with two queues, whose agents run."""
    async with open_api(SETTINGS) as opened:
        opened.start()
        yield opened


async def join(api: Api, *queues: str) -> ScriptedWorker:
    """A worker that serves these."""
    worker = ScriptedWorker()
    worker.queues = queues
    await worker.open(api.nursery)
    await worker.join(api)
    worker.keep_beating(api)
    return worker


async def test_jobs_of_a_paused_queue_wait(api: Api, clock: MockClock) -> None:
    """They are accepted, and told why they wait; other queues and running jobs go on."""
    worker = await join(api, "default", "bulk")
    running = (await api.submit(queue="bulk")).job.id
    assert (await api.job(running)).state is State.RUNNING
    await api.agents.queues.pause("bulk", "the printer burns", "ada")
    waits = await api.submit(queue="bulk")
    note = "queued: queue bulk is paused (the printer burns)"
    assert (waits.routed, waits.note) == ("queue", note)
    assert (await api.submit()).routed == "direct"
    await trio.sleep(60)
    assert len(worker.held) == 2
    await worker.report(api, worker.outcome((await api.job(running)).token))
    await all_in(api, [running], State.SUCCEEDED)
    assert (await api.job(waits.job.id)).state is State.QUEUED
    await api.agents.queues.resume("bulk")
    await all_in(api, [waits.job.id], State.RUNNING)
    kinds = [event.kind for event in api.state.ring.recent(100)]
    assert kinds.index(EventKind.QUEUE_RESUMED) < kinds.index(EventKind.QUEUE_PAUSED)
    assert api.breaches() == 0


async def test_what_comes_back_to_a_paused_queue_waits_too(api: Api, clock: MockClock) -> None:
    """A job that its worker gives back, or that fails and is retried, is not started again."""
    worker = await join(api, "bulk")
    job_id = (await api.submit(queue="bulk")).job.id
    await api.agents.queues.pause("bulk")
    worker.held.clear()
    await worker.beat(api)
    await all_in(api, [job_id], State.QUEUED)
    await trio.sleep(60)
    assert (await api.job(job_id)).state is State.QUEUED


async def test_only_queues_that_there_are_can_be_paused(api: Api) -> None:
    """The others are named."""
    with pytest.raises(NotFound, match="known: bulk, default"):
        await api.agents.queues.pause("blk")
    with pytest.raises(NotFound, match="known: bulk, default"):
        await api.agents.queues.resume("blk")
    await api.agents.queues.resume("bulk")  # as it is
    assert api.state.pauses.queues == ()


async def test_workers_are_told_which_queues_to_leave_alone(api: Api, clock: MockClock) -> None:
    """In each answer, and a claim for a message of such a queue is refused without the store."""
    worker = await join(api, "bulk")
    await api.agents.queues.pause("bulk")
    assert (await worker.beat(api)).paused_queues == ("bulk",)
    answer = await api.agents.control.register(worker.registration())
    assert answer.paused_queues == ("bulk",)
    claims = [
        Claim(
            store_id=store_id,
            token=Token("j1", 1),
            worker_id="w1",
            incarnation=worker.incarnation,
            queue=queue,
        )
        for store_id, queue in (
            (api.state.store_id, "bulk"),
            (api.state.store_id, "default"),
            ("another", "bulk"),
        )
    ]
    answers = await api.agents.control.claim(claims)
    assert [each.verdict for each in answers] == [
        ClaimVerdict.PAUSED,
        ClaimVerdict.UNKNOWN,
        ClaimVerdict.FOREIGN_STORE,
    ]
    await api.agents.queues.resume("bulk")
    assert (await worker.beat(api)).paused_queues == ()


async def test_a_pause_outlives_the_api(clock: MockClock) -> None:
    """The next life knows it before it takes a job."""
    store: MemoryStore
    async with open_api(SETTINGS) as api:
        store = api.store
        await api.agents.queues.pause("bulk", "why")
    async with open_api(SETTINGS, store=store, boot="boot-2") as api:
        pause = api.state.pauses.get("bulk")
        assert pause is not None
        assert pause.reason == "why"


async def test_what_was_changed_while_it_was_read_is_not_undone(
    api: Api, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of the store from before is thrown away."""
    read = api.store.queues.paused
    late = trio.Event()

    async def slowly() -> object:
        found = await read()
        await late.wait()
        return found

    monkeypatch.setattr(api.store.queues, "paused", slowly)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(api.agents.queues.look)
        await trio.testing.wait_all_tasks_blocked()
        await api.agents.queues.pause("bulk")
        late.set()
    assert "bulk" in api.state.pauses


async def test_a_store_that_is_away_refuses_and_forgets_nothing(
    api: Api, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was paused stays so."""
    await api.agents.queues.pause("bulk")

    async def away(*_: object, **__: object) -> object:
        raise StoreUnavailable("away")

    for name in ("paused", "resume"):
        monkeypatch.setattr(api.store.queues, name, away)
    with pytest.raises(StoreUnavailable):
        await api.agents.queues.resume("bulk")
    await trio.sleep(3 * LOOK_SECONDS)
    assert "bulk" in api.state.pauses


async def test_other_apis_hear_of_it_at_once(clock: MockClock) -> None:
    """And in the end also where the word was lost."""
    pair: Pair
    async with open_pair() as pair:
        await pair.one.agents.queues.pause("default")
        await until(lambda: "default" in pair.two.state.pauses, "the word", 1)
        assert (await pair.two.submit()).note == "queued: queue default is paused"
        pair.buses[0].cut()
        await pair.one.agents.queues.resume("default")
        await until(
            lambda: "default" not in pair.two.state.pauses, "the next look", LOOK_SECONDS + 1
        )


async def test_a_queue_is_shown_with_all_that_matters(api: Api, clock: MockClock) -> None:
    """What waits and runs in it, since when, and who serves it."""
    figures = api.agents.services().queue_figures
    worker = await join(api, "bulk")
    await api.submit(queue="bulk")
    await api.agents.queues.pause("bulk", "why", "ada")
    await api.submit(queue="bulk", priority=7)
    await api.submit("grind", queue="bulk")
    api.nursery.start_soon(api.agents.lookout.ages.run)
    await trio.sleep(31)
    bulk, default = await figures.all()
    assert (bulk.name, bulk.declared, bulk.waiting, bulk.by_priority) == (
        "bulk",
        True,
        2,
        {7: 1, 3: 1},
    )
    assert (bulk.running, bulk.workers, bulk.slots, bulk.free) == (1, 1, 6, 5)
    assert bulk.pause is not None
    assert (bulk.pause.reason, bulk.pause.by) == ("why", "ada")
    assert bulk.oldest_seconds is not None
    assert 29 <= bulk.oldest_seconds <= 31
    assert (default.waiting, default.workers, default.oldest_seconds, default.pause) == (
        0,
        0,
        None,
        None,
    )
    with pytest.raises(NotFound, match="known: bulk, default"):
        await figures.one("blk")
    assert worker.slots
