"""Lone submits: what comes together goes to the store together, and each is answered by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from agents.scripted import ScriptedWorker
from agents.world import Api, open_api, until
from hermesd.api.intake import MOST_JOBS, Lone
from hermesd.api.ledger import Ledger
from hermesd.api.submit import SubmitAnswer
from hermesd.core.errors import HermesError, OutcomeUnknown, QueueFull, StoreUnavailable, Unstorable
from hermesd.core.states import State

Answer = SubmitAnswer | HermesError


async def submitted(api: Api, *types: str) -> list[Answer]:
    """The answers on jobs of these types, each submitted by a client of its own."""
    answers: dict[int, Answer] = {}

    async def client(number: int, name: str) -> None:
        try:
            answers[number] = await api.submit(name)
        except HermesError as error:
            answers[number] = error

    async with trio.open_nursery() as clients:
        for number, name in enumerate(types):
            clients.start_soon(client, number, name)
    return [answers[number] for number in range(len(types))]


def kinds(answers: list[Answer]) -> list[object]:
    """How each was routed, or which error it got."""
    return [one.routed if isinstance(one, SubmitAnswer) else type(one) for one in answers]


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


def _goes_down(api: Api) -> None:
    api.jobs.down = True


def _forgets(api: Api) -> None:
    api.jobs.unknown = 1


@pytest.mark.parametrize(
    ("spoil", "error"), [(_goes_down, StoreUnavailable), (_forgets, OutcomeUnknown)]
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
