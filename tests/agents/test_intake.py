"""Lone submits: what comes together goes to the store together, and each is answered by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from agents.scripted import Reply, ScriptedWorker
from agents.submits import Answer, forgets, goes_down, kinds, quiet, submitted
from agents.world import Api, open_api, until
from hermesd.api.intake import MOST_JOBS, QUIET
from hermesd.api.ledger import Ledger
from hermesd.api.lone import Lone
from hermesd.api.submit import SubmitAnswer
from hermesd.core.errors import HermesError, OutcomeUnknown, QueueFull, StoreUnavailable, Unstorable
from hermesd.core.fleet import Acceptance, DispatchBatch
from hermesd.core.states import State


async def test_submits_that_come_together_are_one_call_of_the_store(
    api: Api, clock: MockClock
) -> None:
    """Each gets its own answer, is counted by its type, and is told of in the events."""
    worker = ScriptedWorker()
    await worker.open(api.nursery)
    await worker.join(api)
    before = api.jobs.calls
    answers = await submitted(api, "note", "grind", "chime", "note", "note")
    assert api.jobs.calls == before + 1
    assert kinds(answers) == ["direct"] * 5
    jobs = [one.job for one in answers if isinstance(one, SubmitAnswer)]
    assert [job.type for job in jobs] == ["note", "grind", "chime", "note", "note"]
    assert {job.id for job in jobs} == {token.job_id for token in worker.held}
    for job in jobs:
        assert await api.job(job.id) == job
    assert +api.state.tally.states == {State.RUNNING: 5}
    assert api.state.ring.totals()["direct"] == 5
    flows = api.state.metrics.flow.copy()
    assert {name: flow.started for name, flow in flows.items()} == {
        "note": 3,
        "grind": 1,
        "chime": 1,
    }


async def test_a_submit_does_not_wait_for_the_commit_of_others(api: Api, clock: MockClock) -> None:
    """It makes a call of its own, since the store makes one commit of all that waits."""
    committed = api.jobs.after = trio.Event()
    before = api.jobs.calls
    async with trio.open_nursery() as clients:
        clients.start_soon(submitted, api, "note", "note")
        await until(lambda: api.jobs.calls == before + 1, "the first call")
        clients.start_soon(submitted, api, "chime")
        await until(lambda: api.jobs.calls == before + 2, "the second call")
        committed.set()
    assert api.state.tally.waiting_in("default") == 3


async def test_very_many_go_in_several_calls(api: Api, clock: MockClock) -> None:
    """None of which is larger than MOST_JOBS."""
    before = api.jobs.calls
    answers = await submitted(api, *["note"] * (2 * MOST_JOBS + 1))
    assert api.jobs.calls == before + 3
    assert set(kinds(answers)) == {"queue"}
    assert api.state.tally.waiting_in("default") == 2 * MOST_JOBS + 1


async def test_one_that_cannot_be_stored_fails_alone(api: Api, clock: MockClock) -> None:
    """The others of the same call are stored; what is known of it is nothing."""
    known = (await api.submit()).job
    errors: list[HermesError] = []

    async def again() -> None:
        try:
            await api.agents.intake.store(Lone(known))
        except HermesError as error:
            errors.append(error)

    before = api.jobs.calls
    async with trio.open_nursery() as clients:
        clients.start_soon(again)
        clients.start_soon(api.submit)
    assert api.jobs.calls == before + 1
    assert [type(error) for error in errors] == [Unstorable]
    assert api.state.tally.waiting_in("default") == 2


@pytest.mark.parametrize(
    ("spoil", "error"), [(goes_down, StoreUnavailable), (forgets, OutcomeUnknown)]
)
async def test_a_failed_call_is_told_to_each_and_frees_its_place(
    clock: MockClock, spoil: Callable[[Api], None], error: type[HermesError]
) -> None:
    """With exceptions of their own; afterwards as many may wait as before."""
    async with open_api({"api": {"max_waiting_jobs": 3}}) as api:
        spoil(api)
        answers = await submitted(api, "note", "note", "note")
        assert kinds(answers) == [error] * 3
        assert len(set(map(id, answers))) == 3
        api.jobs.down = False
        later = Counter(kinds(await submitted(api, "note", "note", "note", "note")))
        assert later == {"queue": 3, QueueFull: 1}


async def test_the_end_of_the_services_leaves_no_client_waiting(clock: MockClock) -> None:
    """What is under way, and what comes then, is still committed and answered."""
    async with open_api() as api:
        committed = api.jobs.after = trio.Event()
        before = api.jobs.calls
        answers: list[Answer] = []

        async def clients(*types: str) -> None:
            answers.extend(await submitted(api, *types))

        async with trio.open_nursery() as outside:
            outside.start_soon(clients, "note", "note")
            await until(lambda: api.jobs.calls > before, "the commit")
            api.nursery.cancel_scope.cancel()
            outside.cancel_scope.shield = True
            outside.start_soon(clients, "chime")
            await trio.testing.wait_all_tasks_blocked()
            committed.set()
        assert kinds(answers) == ["queue"] * 3


async def test_a_defect_after_the_commit_ends_nobody_else(
    api: Api, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs are committed: clients are told so, a worker gets them, and the api goes on."""
    worker = ScriptedWorker()
    await worker.open(api.nursery)
    await worker.join(api)
    worker.keep_beating(api)
    api.start()
    with monkeypatch.context() as patched:

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("a defect")

        patched.setattr(Ledger, "inserted", fail)
        answers = await submitted(api, "note", "note")
    jobs = [one.job for one in answers if isinstance(one, SubmitAnswer)]
    assert len(jobs) == 2
    wanted = {job.id for job in jobs}
    await until(lambda: {token.job_id for token in worker.held} == wanted, "the worker to get them")
    assert kinds(await submitted(api, "note")) == ["direct"]


async def test_a_job_without_company_is_seen_through_in_its_own_task(
    api: Api, clock: MockClock, inserting: list[trio.lowlevel.Task]
) -> None:
    """Stored, counted, told of and given to its worker as any other."""
    worker = ScriptedWorker(slots={"async": QUIET + 2})
    await worker.open(api.nursery)
    await worker.join(api)
    await quiet(api)
    answers = await submitted(api, "note")
    assert inserting[-1] not in inserting[:-1]
    assert inserting[-1].parent_nursery is not api.nursery
    assert [task.parent_nursery for task in inserting[:-1]] == [api.nursery] * QUIET
    assert kinds(answers) == ["direct"]
    assert isinstance(answers[0], SubmitAnswer)
    assert (answers[0].worker_id, answers[0].job) == ("w1", await api.job(answers[0].job.id))
    assert api.state.ring.totals()["direct"] == QUIET + 1
    assert len(worker.held) == QUIET + 1
    await submitted(api, "grind")
    assert api.state.tally.waiting_in("default") == 1


async def test_many_that_end_together_are_no_quiet(api: Api, clock: MockClock) -> None:
    """They had company, and so has what comes next, likely."""
    await submitted(api, *["note"] * (QUIET + 2))
    before = api.jobs.calls
    await submitted(api, "note", "note")
    assert api.jobs.calls == before + 1


async def test_company_ends_the_quiet(api: Api, clock: MockClock) -> None:
    """From then on what comes together is gathered again."""
    await quiet(api)
    committed = api.jobs.after = trio.Event()
    before = api.jobs.calls
    async with trio.open_nursery() as clients:
        clients.start_soon(submitted, api, "note")
        await until(lambda: api.jobs.calls == before + 1, "the first call")
        clients.start_soon(submitted, api, "note", "note")
        await until(lambda: api.jobs.calls == before + 2, "the second call")
        committed.set()
    api.jobs.after = None
    await submitted(api, "note", "note", "note")
    assert api.jobs.calls == before + 3
    assert api.state.tally.waiting_in("default") == QUIET + 6


@pytest.mark.parametrize(
    ("spoil", "error"), [(goes_down, StoreUnavailable), (forgets, OutcomeUnknown)]
)
async def test_a_job_without_company_that_is_not_stored_frees_its_slot(
    api: Api, clock: MockClock, spoil: Callable[[Api], None], error: type[HermesError]
) -> None:
    """And its client is told."""
    worker = ScriptedWorker(slots={"async": QUIET + 1})
    await worker.open(api.nursery)
    await worker.join(api)
    await quiet(api)
    spoil(api)
    assert kinds(await submitted(api, "note")) == [error]
    assert len(api.agents.lines.take_strays()) == (error is OutcomeUnknown)
    assert api.view(worker.incarnation).free("async") == 1
    api.jobs.down = False
    assert kinds(await submitted(api, "note")) == ["direct"]


async def test_a_job_without_company_is_sent_as_ever_where_the_path_is_not_idle(
    api: Api, clock: MockClock
) -> None:
    """It waits for the path, and no longer than any other."""
    worker = ScriptedWorker(slots={"async": QUIET + 3})
    await worker.open(api.nursery)
    await worker.join(api)
    await quiet(api)
    worker.scripts.append(worker.take_and_hang)
    first, second = await submitted(api, "note"), await submitted(api, "note")
    assert kinds(first + second) == ["queue"] * 2
    notes = {one.note for one in first + second if isinstance(one, SubmitAnswer)}
    assert notes == {"committed; the worker has not answered yet"}


async def test_a_job_without_company_that_is_refused_goes_to_another_worker(
    api: Api, clock: MockClock
) -> None:
    """And its client hears of that one."""
    full, free = (ScriptedWorker(name, slots={"async": QUIET + 1}) for name in ("w1", "w2"))
    for worker in (full, free):
        await worker.open(api.nursery)
        await worker.join(api)
    await quiet(api)

    async def refuse(batch: DispatchBatch) -> Reply:
        for worker in (full, free):
            worker.scripts.clear()
        return (full if batch.incarnation == full.incarnation else free).answer(
            batch, [Acceptance.FULL]
        )

    for worker in (full, free):
        worker.scripts.append(refuse)
    (answer,) = await submitted(api, "note")
    assert isinstance(answer, SubmitAnswer)
    holders = {token.job_id: worker for worker in (full, free) for token in worker.held}
    assert (answer.routed, answer.worker_id) == ("direct", holders[answer.job.id].worker_id)


async def test_a_defect_after_a_commit_without_company_ends_nobody(
    api: Api, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told that its job is committed, and the worker has it all the same."""
    worker = ScriptedWorker(slots={"async": QUIET + 2})
    await worker.open(api.nursery)
    await worker.join(api)
    await quiet(api)
    with monkeypatch.context() as patched:

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("a defect")

        patched.setattr(Ledger, "inserted", fail)
        answers = await submitted(api, "note")
    assert kinds(answers) == ["queue"]
    await until(lambda: len(worker.held) == QUIET + 1, "the worker to get it")
    assert not api.agents.lines.take_strays()
    assert kinds(await submitted(api, "note")) == ["direct"]
