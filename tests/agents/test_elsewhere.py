"""Jobs that a worker refused: nothing is lost and nothing doubled, whatever happens meanwhile."""

from __future__ import annotations

from functools import partial

import trio
from trio.testing import MockClock

from agents.scripted import Reply, ScriptedWorker
from agents.world import Api, all_in, until
from hermesd.core.fleet import Acceptance, DispatchBatch
from hermesd.core.states import State


def refuse_all(worker: ScriptedWorker) -> None:
    """The next batch is refused as too much."""

    async def refuse(batch: DispatchBatch) -> Reply:
        return worker.answer(batch, [Acceptance.FULL] * len(batch.jobs))

    worker.scripts.append(refuse)


async def join(api: Api, name: str) -> ScriptedWorker:
    """A worker that is routable."""
    worker = ScriptedWorker(name)
    await worker.open(api.nursery)
    await worker.join(api)
    return worker


async def test_a_refused_job_goes_to_the_next_worker_in_one_commit(
    api: Api, clock: MockClock
) -> None:
    """Its lease rises by one, its attempt does not, and the submit is told who has it."""
    first, second = await join(api, "w1"), await join(api, "w2")
    refuse_all(first)
    answer = await api.submit()
    assert (answer.routed, answer.worker_id) == ("direct", "w2")
    job = await api.job(answer.job.id)
    assert (job.lease, job.attempts, job.incarnation) == (2, 1, second.incarnation)
    assert not api.view(first.incarnation).held
    assert api.view(second.incarnation).free("async") == 3


async def test_a_job_that_nobody_else_can_take_waits_unblamed(api: Api, clock: MockClock) -> None:
    """It is queued with its attempt given back, and no error is told of it."""
    worker = await join(api, "w1")
    refuse_all(worker)
    answer = await api.submit()
    assert answer.routed == "queue"
    assert answer.note == "queued: the worker says: full"
    job = await api.job(answer.job.id)
    assert (job.state, job.attempts, job.error) == (State.QUEUED, 0, None)


async def test_a_refused_job_is_not_offered_to_the_same_worker_again(
    api: Api, clock: MockClock
) -> None:
    """A worker that says it is full although its view shows slots is not asked in a circle."""
    worker = await join(api, "w1")
    for _ in range(5):
        refuse_all(worker)
    await api.submit()
    api.start()
    await trio.sleep(3)
    assert len(worker.batches) == 1
    worker.scripts.clear()
    await worker.beat(api)
    await until(lambda: bool(worker.held), "the job to be taken")


async def test_an_eviction_in_the_middle_neither_loses_nor_doubles(
    api: Api, clock: MockClock
) -> None:
    """The reassignment is committed when its dispatcher is cancelled: it is sent all the same."""
    first, second = await join(api, "w1"), await join(api, "w2")
    committed = trio.Event()

    async def refuse(batch: DispatchBatch) -> Reply:
        api.jobs.after = committed
        return first.answer(batch, [Acceptance.FULL])

    first.scripts.append(refuse)
    answer = await api.submit()
    view = api.view(first.incarnation)
    assert (answer.routed, len(view.held)) == ("queue", 1)
    assert (await api.job(answer.job.id)).incarnation == second.incarnation
    api.nursery.start_soon(partial(api.agents.reaper.bury, view, "a test", proven_dead=False))
    await trio.sleep(1)
    committed.set()
    await until(lambda: bool(second.held), "the job to arrive")
    assert [token.lease for token in second.held] == [2]
    await until(lambda: len(api.state.registry) == 1, "the eviction")
    assert api.state.tally.states[State.RUNNING] == 1
    assert (await api.job(answer.job.id)).token in second.held


async def test_a_reassignment_of_unknown_fate_is_found_again(api: Api, clock: MockClock) -> None:
    """The store took it and did not say so: nobody sent it, and it runs all the same."""
    first, second = await join(api, "w1"), await join(api, "w2")

    async def refuse(batch: DispatchBatch) -> Reply:
        api.jobs.unknown = 1
        return first.answer(batch, [Acceptance.FULL])

    first.scripts.append(refuse)
    answer = await api.submit()
    assert (await api.job(answer.job.id)).incarnation == second.incarnation
    api.start()
    await trio.sleep(2)
    await second.beat(api)
    await first.beat(api)
    await until(lambda: bool(first.held or second.held), "the job to arrive")
    assert len({**first.held, **second.held}) == 1
    assert api.view(second.incarnation).free("async") == 4 - len(second.held)


async def test_a_failed_reassignment_keeps_no_slot(api: Api, clock: MockClock) -> None:
    """The store is away, and the job is settled otherwise: the reserved slot is free again."""
    first, second = await join(api, "w1"), await join(api, "w2")

    async def refuse(batch: DispatchBatch) -> Reply:
        api.jobs.before = asked
        return first.answer(batch, [Acceptance.FULL])

    asked = trio.Event()
    first.scripts.append(refuse)
    await api.submit()
    view = api.view(first.incarnation)
    assert api.view(second.incarnation).free("async") == 3
    [held] = view.held.values()
    view.drop(held.job.id, held.job.lease)
    api.jobs.unknown = 1
    asked.set()
    await trio.sleep(2)
    assert api.view(second.incarnation).free("async") == 4
    assert not second.batches


async def test_a_release_that_the_store_did_not_take_is_tried_again(
    api: Api, clock: MockClock
) -> None:
    """RETRY is not an end: the job stays with the view until the store has it."""
    worker = await join(api, "w1")
    refuse_all(worker)
    api.jobs.retries = 3
    answer = await api.submit()
    assert (await api.job(answer.job.id)).state is State.RUNNING
    await all_in(api, [answer.job.id], State.QUEUED)
    assert not api.view(worker.incarnation).held


async def test_a_job_to_be_cancelled_is_not_given_on(api: Api, clock: MockClock) -> None:
    """It was never begun, and nobody wants it."""
    first, second = await join(api, "w1"), await join(api, "w2")
    first.scripts += [first.hang] * 30
    answer = await api.submit()
    await api.agents.operator.cancel(answer.job.id)
    await until(lambda: api.view(first.incarnation).fence_batch == 1, "the fence")
    first.fence = 1
    await first.beat(api)
    await all_in(api, [answer.job.id], State.CANCELLED)
    assert not second.batches
