"""Daemons are told to stop while there is much to do (faults 4 and 5)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
import trio
from processes.client import until
from processes.deployment import Deployment
from processes.submitter import Answers, bodies, submit_all

SUBMITS = 1500


def mixed(seed: int) -> list[bytes]:
    """Submits of jobs of 0.01 to 5 s, most of them short."""
    chance = random.Random(seed)
    lengths = [chance.choice([0.01, 0.01, 0.01, 0.05, 0.2, 1.0]) for _ in range(SUBMITS)]
    lengths[:: SUBMITS // 10] = [5.0] * len(lengths[:: SUBMITS // 10])
    return bodies("note", [{"seconds": seconds} for seconds in lengths])


async def submit_around(
    deployment: Deployment, answers: Answers, moment: int, act: Callable[[], Awaitable[None]]
) -> None:
    """Submit, and call `act` once `moment` submits are over."""

    async def interrupt() -> None:
        await answers.reached(moment)
        await act()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(interrupt)
        await submit_all(deployment.client.port, mixed(moment), connections=16, answers=answers)


async def _begun(deployment: Deployment, job_id: str) -> bool:
    return bool(deployment.history.starts_of(job_id))


@pytest.mark.faults
async def test_a_worker_told_to_stop_in_a_burst_drops_and_doubles_nothing(
    deployment: Deployment,
) -> None:
    """What runs ends within the drain, what comes goes to the other worker; it exits with 0."""
    await deployment.api()
    leaving = await deployment.worker("leaving")
    await deployment.worker("staying")
    await deployment.client.routable("leaving", "staying")
    answers = Answers()

    async def act() -> None:
        leaving.sigterm()
        assert await leaving.wait() == 0

    await submit_around(deployment, answers, SUBMITS // 3, act)
    await deployment.client.all_ended(120)
    jobs = deployment.history.check(answers.accepted)
    assert len(answers.accepted) == SUBMITS
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert len(deployment.history.starts()) == SUBMITS
    assert (await leaving.logged("drained"))["handed_on"] == 0
    assert await deployment.client.metric("hermesd_invariant_breaches_total") == 0


@pytest.mark.faults
async def test_an_api_told_to_stop_in_a_burst_drops_and_doubles_nothing(
    deployment: Deployment,
) -> None:
    """Every submit under way is answered; the next life of the api takes up what runs."""
    first = await deployment.api()
    for name in ("w1", "w2"):
        await deployment.worker(name)
    await deployment.client.routable("w1", "w2")
    answers = Answers()

    async def act() -> None:
        first.sigterm()
        assert await first.wait() == 0
        await deployment.api()

    await submit_around(deployment, answers, SUBMITS // 3, act)
    await deployment.client.all_ended(120)
    jobs = deployment.history.check(answers.accepted)
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(jobs)}
    assert len(answers.accepted) <= len(jobs) <= len(answers.accepted) + answers.unanswered
    assert len(deployment.history.starts()) == len(jobs)


@pytest.mark.faults
async def test_a_daemon_in_both_roles_told_to_stop_in_a_burst_drops_and_doubles_nothing(
    deployment: Deployment,
) -> None:
    """What waits in the store runs in the next life."""
    first = await deployment.both()
    await deployment.client.routable("both")
    answers = Answers()

    async def act() -> None:
        first.sigterm()
        assert await first.wait() == 0
        await deployment.both()

    await submit_around(deployment, answers, SUBMITS // 3, act)
    await deployment.client.all_ended(120)
    jobs = deployment.history.check(answers.accepted)
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(jobs)}
    assert len(answers.accepted) <= len(jobs) <= len(answers.accepted) + answers.unanswered
    assert len(deployment.history.starts()) == len(jobs)


@pytest.mark.faults
@pytest.mark.parametrize("job_type", ["note", "note.thread", "note.process"])
async def test_a_job_longer_than_the_drain_is_handed_on_with_its_attempt(
    deployment: Deployment, job_type: str
) -> None:
    """Deadline, interrupt, give back, exit 0; the other worker runs it as attempt 1 again."""
    await deployment.api()
    leaving = await deployment.worker("leaving", HERMES_DRAIN__SECONDS="1")
    await deployment.client.routable("leaving")
    job_id = (await deployment.client.submit(job_type, {"seconds": 4.0}))["job"]["id"]
    # A child process may need longer for its start than the drain lasts.
    await until(lambda: _begun(deployment, job_id), "the handler to begin")
    leaving.sigterm()
    assert await leaving.wait() == 0
    assert (await leaving.logged("drained"))["handed_on"] == 1
    await deployment.worker("staying")
    job = await deployment.client.ended(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 1)
    deployment.history.check([job_id])
    assert [start.attempt for start in deployment.history.starts_of(job_id)] == [1, 1]


@pytest.mark.faults
@pytest.mark.parametrize("job_type", ["deaf", "stubborn"])
async def test_a_handler_that_does_not_end_cannot_hold_up_the_exit(
    deployment: Deployment, job_type: str
) -> None:
    """The job is given back as the last act, and runs elsewhere."""
    await deployment.api()
    leaving = await deployment.worker("leaving", HERMES_DRAIN__SECONDS="0.5")
    await deployment.client.routable("leaving")
    job_id = (await deployment.client.submit(job_type, {"seconds": 12.0}))["job"]["id"]
    await deployment.client.running(1)
    leaving.sigterm()
    assert await leaving.wait(10) == 0
    await deployment.worker("staying")
    job = await deployment.client.ended(job_id)
    assert job["state"] == "succeeded"
    deployment.history.check([job_id])


@pytest.mark.faults
@pytest.mark.parametrize("role", ["worker", "both"])
async def test_a_second_sigterm_ends_it_at_once_and_loses_nothing(
    deployment: Deployment, role: str
) -> None:
    """The jobs are handed back without waiting for the drain's deadline."""
    if role == "worker":
        await deployment.api()
    leaving = await deployment.start("leaving", role, HERMES_DRAIN__SECONDS="60")
    await leaving.ready()
    await deployment.client.routable("leaving")
    ids = await deployment.client.submit_many("note", {"seconds": 60.0}, 20)
    await deployment.client.running(20)
    leaving.sigterm()
    await leaving.logged("draining")
    leaving.sigterm()
    assert await leaving.wait() == 0
    live = deployment.history.jobs()
    assert {live[each].state for each in ids} == {"queued"}
    assert {live[each].attempts for each in ids} == {0}
