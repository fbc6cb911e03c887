"""The api is killed with -9 in a burst of submits (faults 1 and 25)."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import trio
from processes.deployment import Deployment
from processes.submitter import Answers, bodies, submit_all

SUBMITS = 5000
CONNECTIONS = 32


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(10))
async def test_every_answered_submit_survives_the_death_of_its_api(
    deployment: Deployment, seed: int
) -> None:
    """Killed at a random moment of the burst and started again: answered is kept, and runs."""
    moment = random.Random(seed).randrange(1, SUBMITS * 9 // 10)
    first = await deployment.api()
    workers = [await deployment.worker(name) for name in ("w1", "w2")]
    await deployment.client.routable("w1", "w2")
    answers = Answers()
    submits = bodies("note", [{"n": n} for n in range(SUBMITS)])

    async def kill_and_start() -> None:
        await answers.reached(moment)
        first.kill9()
        await first.wait()
        await deployment.api()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill_and_start)
        await submit_all(deployment.client.port, submits, connections=CONNECTIONS, answers=answers)
    await deployment.client.routable("w1", "w2")
    await deployment.client.all_ended()
    jobs = deployment.history.check(answers.accepted)
    assert len(set(answers.accepted)) == len(answers.accepted)
    assert not answers.refused
    assert len(answers.accepted) <= len(jobs) <= len(answers.accepted) + answers.unanswered
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(jobs)}
    assert all(worker.alive for worker in workers)
    assert not any(worker.events("fenced, coming back") for worker in workers)
    assert await deployment.client.metric("hermesd_invariant_breaches_total") == 0


@pytest.mark.faults
async def test_jobs_in_flight_go_on_while_their_api_is_away(deployment: Deployment) -> None:
    """A worker keeps what runs, reports to the next life of the api, and nothing runs twice."""
    first = await deployment.api()
    await deployment.worker("w1")
    await deployment.client.routable("w1")
    ids = await deployment.client.submit_many("note", {"waits": 1}, 100)
    await deployment.client.running(100)
    first.kill9()
    await first.wait()
    second = await deployment.api()
    await second.logged("worker registered")
    deployment.let_go()
    await deployment.client.all_ended()
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert len(deployment.history.starts()) == len(ids)
