"""Lone submits that wait in no task: they are begun, and a call is made with each answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from agents.scripted import ScriptedWorker
from agents.submits import begun, forgets, goes_down, kinds, quiet, submitted
from agents.world import Api, open_api, until
from hermesd.api.intake import QUIET
from hermesd.api.submit import JobRequest, SubmitAnswer
from hermesd.core.errors import HermesError, OutcomeUnknown, QueueFull, StoreUnavailable


async def test_jobs_without_tasks_go_together(api: Api, clock: MockClock) -> None:
    """In one call of the store, to a worker or to wait, and each is answered."""
    worker = ScriptedWorker(slots={"async": 2})
    await worker.open(api.nursery)
    await worker.join(api)
    before = api.jobs.calls
    answers = begun(api, "note", "grind", "note", "chime")
    await until(lambda: len(answers) == 4, "the answers")
    assert api.jobs.calls == before + 1
    assert sorted(map(str, kinds(answers))) == ["direct"] * 2 + ["queue"] * 2
    for one in answers:
        assert isinstance(one, SubmitAnswer)
        assert await api.job(one.job.id) == one.job


async def test_one_with_a_key_is_left_to_its_own_task(api: Api, clock: MockClock) -> None:
    """Nothing is done with it."""
    told: list[SubmitAnswer | Exception] = []
    request = JobRequest(type="note", idempotency_key="k")
    assert not api.agents.submitter.begin(request, told.append)
    await trio.testing.wait_all_tasks_blocked()
    assert not told


async def test_a_job_that_nobody_is_beside_is_seen_through_by_one_task(
    api: Api, clock: MockClock, inserting: list[trio.lowlevel.Task]
) -> None:
    """The same for each, and each is answered as any other; what waits has its note."""
    worker = ScriptedWorker(slots={"async": QUIET + 3})
    await worker.open(api.nursery)
    await worker.join(api)
    await quiet(api)
    del inserting[:]
    for name in ("note", "chime", "note"):
        answers = begun(api, name)
        await until(lambda answers=answers: bool(answers), "the answer")
        assert kinds(answers) == ["direct"]
        for one in answers:
            assert isinstance(one, SubmitAnswer)
            assert await api.job(one.job.id) == one.job
            assert one.job.id in {token.job_id for token in worker.held}
    assert len(inserting) == 3
    assert len(set(inserting)) == 1
    later = begun(api, "note")
    await until(lambda: bool(later), "the answer")
    assert kinds(later) == ["queue"]


async def test_company_comes_beside_one_that_is_seen_through(api: Api, clock: MockClock) -> None:
    """Neither waits for the other's commit, and it is quiet no more."""
    await quiet(api)
    committed = api.jobs.after = trio.Event()
    before = api.jobs.calls
    first = begun(api, "note")
    await until(lambda: api.jobs.calls > before, "the commit")
    others = begun(api, "note", "chime")
    await until(lambda: api.jobs.calls > before + 1, "their commit")
    committed.set()
    await until(lambda: len(first) + len(others) == 3, "the answers")
    assert kinds(first + others) == ["queue"] * 3
    assert not api.agents.intake.quiet
    assert kinds(await submitted(api, "note")) == ["queue"]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(
    ("spoil", "error"), [(goes_down, StoreUnavailable), (forgets, OutcomeUnknown)]
)
async def test_what_is_not_stored_is_told_also_without_tasks(
    clock: MockClock, spoil: Callable[[Api], None], error: type[HermesError], alone: bool
) -> None:
    """Their places are free again, and what passes the limits is refused at once."""
    jobs, before = (["note"], QUIET) if alone else (["note"] * 3, 0)
    config = {"api": {"max_waiting_jobs": before + len(jobs), "max_pending_submits": 4}}
    async with open_api(config) as api:
        if alone:
            await quiet(api)
        spoil(api)
        answers = begun(api, *jobs)
        with pytest.raises(QueueFull):
            begun(api, "note")
        await until(lambda: len(answers) == len(jobs), "the answers")
        assert kinds(answers) == [error] * len(jobs)
        api.jobs.down = False
        later = begun(api, *jobs)
        await until(lambda: len(later) == len(jobs), "the answers")
        assert kinds(later) == ["queue"] * len(jobs)


async def test_the_end_of_the_services_leaves_nothing_unanswered(clock: MockClock) -> None:
    """Also where no task waits for it."""
    async with open_api() as api:
        committed = api.jobs.after = trio.Event()
        before = api.jobs.calls
        answers = begun(api, "note", "note")
        await until(lambda: api.jobs.calls > before, "the commit")
        api.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            later = begun(api, "chime")
            await trio.testing.wait_all_tasks_blocked()
            committed.set()
            await until(lambda: len(answers) + len(later) == 3, "the answers")
        assert kinds(answers + later) == ["queue"] * 3
