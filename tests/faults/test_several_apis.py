"""Two apis on one PostgreSQL behind a load balancer, one killed with -9 (fault 17)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from processes.client import until
from processes.daemon import DaemonProcess
from processes.deployment import QUICK
from processes.haproxy import open_haproxy
from processes.several import SeveralApis, open_several
from processes.submitter import Answers, bodies, submit_all

SUBMITS = 3000
CONNECTIONS = 24
BREACHES = "hermesd_invariant_breaches_total"


@pytest.fixture
async def several(tmp_path: Path, postgresql_url: str) -> AsyncIterator[SeveralApis]:
    """Two apis with an empty store; nothing is started."""
    async with open_several(tmp_path, postgresql_url) as opened:
        yield opened


async def all_up(several: SeveralApis) -> tuple[DaemonProcess, DaemonProcess]:
    """Both apis, and two workers that both can send jobs to."""
    first, second = await several.api("api-1"), await several.api("api-2")
    for name in ("w1", "w2"):
        await several.worker(name)
    await several.routable("w1", "w2")
    return first, second


async def no_breach(several: SeveralApis, *names: str) -> None:
    """The invariants' metric has not moved."""
    assert [await several.client(name).metric(BREACHES) for name in names] == [0] * len(names)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(3))
async def test_clients_of_a_load_balancer_lose_nothing_with_an_api(
    several: SeveralApis, tmp_path: Path, seed: int
) -> None:
    """Killed at a random moment of a burst and started again: every 2xx id ends once."""
    moment = random.Random(seed).randrange(SUBMITS // 10, SUBMITS * 6 // 10)
    first, _ = await all_up(several)
    answers = Answers()
    submits = bodies("note", [{"n": n} for n in range(SUBMITS)])

    async def kill_and_start() -> None:
        await answers.reached(moment)
        first.kill9()
        await first.wait()
        await several.api("api-1")

    async with open_haproxy(tmp_path, several.ports) as port, trio.open_nursery() as nursery:
        nursery.start_soon(kill_and_start)
        await submit_all(port, submits, connections=CONNECTIONS, answers=answers)
    await several.routable("w1", "w2")
    await several.all_ended()
    jobs = several.history.check(answers.accepted)
    assert len(set(answers.accepted)) == len(answers.accepted)
    assert set(answers.refused) <= {503}
    # What was under way at the api when it died, and what the balancer sent there until it saw it.
    assert answers.unanswered <= 4 * CONNECTIONS
    assert len(answers.accepted) <= len(jobs) <= len(answers.accepted) + answers.unanswered
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(jobs)}
    await no_breach(several, "api-1", "api-2")


@pytest.mark.faults
async def test_the_jobs_of_a_dead_api_are_recorded_through_the_other(several: SeveralApis) -> None:
    """They run on and end once; the api comes back later and has nothing to add."""
    first, _ = await all_up(several)
    ids = await several.client("api-1").submit_many("note", {"waits": 1}, 60)
    await several.client("api-1").running(60)
    first.kill9()
    await first.wait()
    several.let_go()
    other = several.client("api-2")
    for job_id in ids:
        assert (await other.ended(job_id))["state"] == "succeeded"
    await several.api("api-1")
    await several.routable("w1", "w2")
    jobs = several.history.check(ids)
    assert Counter((row.state, row.lease, row.crash_count) for row in jobs.values()) == {
        ("succeeded", 1, 0): len(ids)
    }
    assert len(several.history.starts()) == len(ids)
    await no_breach(several, "api-1", "api-2")


@pytest.mark.faults
async def test_a_dead_apis_jobs_are_adopted_and_its_timers_taken_over(several: SeveralApis) -> None:
    """A long job is cancelled through the other api, and a retry that was due is made."""
    several.settings(**QUICK)
    first, second = await all_up(several)
    other = several.client("api-2")
    long = (await several.client("api-1").submit("note", {"seconds": 300.0}))["job"]["id"]
    again = (await several.client("api-1").submit("fragile", {"failures": 2}))["job"]["id"]
    await several.client("api-1").running(1)
    first.kill9()
    await first.wait()
    await second.logged("api is gone", api="api-1")
    await second.logged("jobs adopted")
    answer = await other.http.delete(f"/jobs/{long}")
    assert answer.status_code in (200, 202), answer.text
    assert (await other.ended(long))["state"] == "cancelled"
    assert (await other.ended(again))["state"] == "succeeded"
    several.history.check([long, again])
    await no_breach(several, "api-2")


@pytest.mark.faults
async def test_an_api_and_a_worker_that_die_together_lose_no_job(several: SeveralApis) -> None:
    """Nobody is left who gave the jobs out, and they run elsewhere."""
    several.settings(**QUICK)
    first, _ = await several.api("api-1"), await several.api("api-2")
    doomed = await several.worker("w1")
    await several.routable("w1")
    ids = await several.client("api-1").submit_many("note", {"waits": 1}, 20)
    await several.client("api-1").running(20)
    first.kill9()
    doomed.kill9()
    several.let_go()
    await several.worker("w2")
    await several.all_ended()
    jobs = several.history.check(ids)
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(ids)}
    await no_breach(several, "api-2")


@pytest.mark.faults
async def test_an_api_that_stood_still_finds_its_jobs_adopted(several: SeveralApis) -> None:
    """It was stopped past the TTL: nothing runs twice, and it goes on as one of two."""
    several.settings(**QUICK)
    first, second = await all_up(several)
    ids = await several.client("api-1").submit_many("note", {"seconds": 8.0}, 20)
    await several.client("api-1").running(20)
    first.sigstop()
    await second.logged("api is gone", api="api-1")
    await second.logged("jobs adopted")
    first.sigcont()
    await first.logged("this api was taken for dead")
    await several.routable("w1", "w2")
    ids += await several.client("api-1").submit_many("note", {}, 20)
    await several.all_ended()
    jobs = several.history.check(ids)
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(ids)}
    assert len(several.history.starts()) == len(ids)
    await no_breach(several, "api-1", "api-2")


@pytest.mark.faults
async def test_a_second_api_of_one_name_refuses_to_start(several: SeveralApis) -> None:
    """It says what to do; the first goes on, and after its death the name is free at once."""
    first = await several.api("api-1")
    double = await several.start("api-2", HERMES_API__NAME="api-1")
    assert await double.wait() == 78
    [line] = double.events("cannot go on")
    assert "'api-1' is running on this database already" in line["why"]
    assert first.alive
    first.kill9()
    await first.wait()
    await several.api("api-1")
    assert not first.alive


@pytest.mark.faults
async def test_a_rolling_restart_stops_no_job(several: SeveralApis, tmp_path: Path) -> None:
    """One api after the other is told to end and started again, in a stream of submits."""
    daemons = dict(zip(("api-1", "api-2"), await all_up(several), strict=True))
    answers = Answers()
    submits = bodies("note", [{"seconds": 0.2}] * SUBMITS)

    async def roll() -> None:
        for place, (name, daemon) in enumerate(daemons.items(), 1):
            await answers.reached(place * SUBMITS // 5)
            daemon.sigterm()
            assert await daemon.wait() == 0
            await several.api(name)
            await several.routable("w1", "w2")

    async with open_haproxy(tmp_path, several.ports) as port, trio.open_nursery() as nursery:
        nursery.start_soon(roll)
        await submit_all(port, submits, connections=CONNECTIONS, answers=answers)
    await several.all_ended()
    jobs = several.history.check(answers.accepted)
    assert set(answers.refused) <= {503}
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(jobs)}
    assert len(jobs) <= len(answers.accepted) + answers.unanswered

    async def quiet() -> bool:
        return len(several.history.starts()) == len(jobs)

    await until(quiet, "each job to have been started once")
    await no_breach(several, "api-1", "api-2")
