"""Submits: what is committed is handed over, whoever left, and a batch is told job by job."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from agents.scripted import Reply, ScriptedWorker
from agents.world import Api, until
from hermesd.api.admission import JobRequest
from hermesd.api.submit import SubmitAnswer
from hermesd.core.errors import OutcomeUnknown, StoreUnavailable
from hermesd.core.fleet import Acceptance, DispatchBatch
from hermesd.core.states import State


async def join(api: Api) -> ScriptedWorker:
    """A worker with four slots."""
    worker = ScriptedWorker()
    await worker.open(api.nursery)
    await worker.join(api)
    return worker


async def batch(api: Api, *types: str) -> Sequence[SubmitAnswer]:
    """Submit jobs of these types at once."""
    return await api.agents.submitter.submit([JobRequest(type=name) for name in types])


async def test_a_client_that_leaves_during_the_commit_changes_nothing(
    api: Api, clock: MockClock
) -> None:
    """The job is committed and reaches its worker, though nobody is there to be answered."""
    worker = await join(api)
    committed = api.jobs.after = trio.Event()
    before = api.jobs.calls
    async with trio.open_nursery() as client:
        client.start_soon(api.submit)
        await until(lambda: api.jobs.calls > before, "the commit")
        client.cancel_scope.cancel()
        committed.set()
    await until(lambda: bool(worker.held), "the job to arrive")
    assert api.state.tally.states[State.RUNNING] == 1


async def test_a_client_that_leaves_before_the_workers_word_frees_nothing(
    api: Api, clock: MockClock
) -> None:
    """The wait for the word is not to be cancelled, and the word still counts."""
    worker = await join(api)
    asked, word = trio.Event(), trio.Event()

    async def take_late(batch: DispatchBatch) -> Reply:
        asked.set()
        await word.wait()
        return worker.take(batch)

    worker.scripts.append(take_late)
    answers: list[SubmitAnswer] = []

    async def client() -> None:
        answers.append(await api.submit())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        await asked.wait()
        nursery.cancel_scope.cancel()
        word.set()
    assert [answer.routed for answer in answers] == ["direct"]


async def test_patience_ends_the_wait_for_a_word(api: Api, clock: MockClock) -> None:
    """The answer tells what is known by then, within the time and a tick."""
    worker = await join(api)
    worker.scripts.append(worker.take_and_hang)
    began = trio.current_time()
    answer = await api.submit()
    assert trio.current_time() - began < api.state.config.api.dispatch_wait_seconds + 0.2
    assert (answer.routed, answer.worker_id) == ("queue", None)
    assert answer.note == "committed; the worker has not answered yet"


@pytest.mark.parametrize("jobs", [1, 3])
async def test_a_failed_commit_gives_the_slots_back(api: Api, clock: MockClock, jobs: int) -> None:
    """All four are free again, and nothing is held."""
    worker = await join(api)
    api.jobs.down = True
    with pytest.raises(StoreUnavailable):
        await batch(api, *["note"] * jobs)
    view = api.view(worker.incarnation)
    assert (view.free("async"), view.held) == (4, {})


@pytest.mark.parametrize("jobs", [1, 3])
async def test_jobs_of_unknown_fate_are_adopted_later(
    api: Api, clock: MockClock, jobs: int
) -> None:
    """They may be committed to a worker that nobody will tell."""
    worker = await join(api)
    api.jobs.unknown = 1
    with pytest.raises(OutcomeUnknown):
        await batch(api, *["note"] * jobs)
    assert api.view(worker.incarnation).free("async") == 4
    assert len(api.agents.lines.take_strays()) == jobs


async def test_a_batch_fills_the_slots_and_the_rest_waits(api: Api, clock: MockClock) -> None:
    """In the order of the request; each is told, counted and noted for itself."""
    worker = await join(api)
    answers = await batch(api, *["note", "chime"] * 3, "grind")
    assert [answer.job.type for answer in answers] == ["note", "chime"] * 3 + ["grind"]
    assert [answer.routed for answer in answers] == ["direct"] * 4 + ["queue"] * 2 + ["direct"]
    assert [bool(answer.note) for answer in answers] == [False] * 4 + [True] * 2 + [False]
    assert {answer.worker_id for answer in answers} == {"w1", None}
    assert len(worker.held) == 5
    assert +api.state.tally.states == {State.RUNNING: 5, State.QUEUED: 2}
    assert api.state.tally.waiting_in("default") == 2
    assert api.state.ring.totals()["direct"] == 5
    waiting = {answer.job.id: answer.note for answer in answers if answer.routed == "queue"}
    events = api.state.ring.recent(10, kind="queued")
    assert {event.job_id: event.message for event in events} == waiting


async def test_a_batch_is_told_of_each_refusal(api: Api, clock: MockClock) -> None:
    """One word for each job: here the worker takes the first only."""
    worker = await join(api)

    async def take_the_first(batch: DispatchBatch) -> Reply:
        refused = [Acceptance.DRAINING] * (len(batch.jobs) - 1)
        return worker.answer(batch, [Acceptance.ACCEPTED, *refused])

    worker.scripts.append(take_the_first)
    first, second = await batch(api, "note", "note")
    assert (first.routed, first.worker_id) == ("direct", "w1")
    assert (second.routed, second.note) == ("queue", "queued: the worker says: draining")
