"""Workers are killed with -9, from outside and by their own jobs (faults 2, 3 and 27)."""

from __future__ import annotations

import random
from datetime import datetime

import pytest
import trio
from processes.daemon import DaemonProcess, Line
from processes.deployment import Deployment
from processes.ports import free_port
from processes.submitter import Answers, bodies, submit_all


def seconds_between(first: Line, second: Line) -> float:
    """From one log line to a later one."""
    return (
        datetime.fromisoformat(second["timestamp"]) - datetime.fromisoformat(first["timestamp"])
    ).total_seconds()


async def start_two(deployment: Deployment) -> tuple[DaemonProcess, DaemonProcess, DaemonProcess]:
    """An api with two workers that can be sent jobs."""
    api = await deployment.api()
    workers = await deployment.worker("w1"), await deployment.worker("w2")
    await deployment.client.routable("w1", "w2")
    return (api, *workers)


@pytest.mark.faults
async def test_the_jobs_of_a_killed_worker_run_elsewhere_soon(deployment: Deployment) -> None:
    """The host answers, so that the death is proven within two seconds and not after the TTL."""
    api, first, _ = await start_two(deployment)
    ids = await deployment.client.submit_many("note", {"waits": 1}, 20)
    await deployment.client.running(20)
    before = len(api.log)
    first.kill9()
    unrouted = await api.logged("worker unrouted", after=before, worker_id="w1")
    evicted = await api.logged("worker evicted", after=before, worker_id="w1")
    assert seconds_between(unrouted, evicted) < 10
    assert evicted["released"] > 0
    deployment.let_go()
    await deployment.client.all_ended()
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    again = [row for row in jobs.values() if row.crash_count]
    assert len(again) == evicted["released"]
    assert all(row.lease > 1 for row in again)
    assert len(deployment.history.starts()) == len(ids) + len(again)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(3))
async def test_no_job_is_lost_or_doubled_when_a_worker_dies_in_a_burst(
    deployment: Deployment, seed: int
) -> None:
    """Killed at a random moment, with batches on their way and outcomes unreported."""
    submits = bodies("note", [{"seconds": 0.01}] * 2000)
    moment = random.Random(seed).randrange(1, len(submits) * 9 // 10)
    _, first, _ = await start_two(deployment)
    answers = Answers()

    async def kill_and_start() -> None:
        await answers.reached(moment)
        first.kill9()
        await first.wait()
        await deployment.worker("w1")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill_and_start)
        await submit_all(deployment.client.port, submits, connections=32, answers=answers)
    await deployment.client.all_ended()
    jobs = deployment.history.check(answers.accepted)
    assert len(answers.accepted) == len(jobs) == len(submits)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    settled = await deployment.client.metric("hermesd_jobs_settled_total", outcome="succeed")
    assert settled == len(submits)
    assert await deployment.client.metric("hermesd_invariant_breaches_total") == 0


@pytest.mark.faults
async def test_all_jobs_end_though_workers_are_killed_again_and_again(
    deployment: Deployment,
) -> None:
    """Each death is charged to the jobs that were there, which then run one at a time."""
    deployment.settings = {"HERMES_JOBS__CRASH_LIMIT": "10"}
    await deployment.api()
    steady = await deployment.worker("steady")
    ids = []
    for _ in range(5):
        doomed = await deployment.worker("doomed")
        await deployment.client.routable("steady", "doomed")
        ids += await deployment.client.submit_many("note", {"seconds": 0.2}, 40)
        doomed.kill9()
        await doomed.wait()
    await deployment.client.all_ended()
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert steady.alive


@pytest.mark.faults
async def test_a_job_that_kills_its_worker_is_quarantined_and_the_others_succeed(
    deployment: Deployment,
) -> None:
    """A crash limit of two costs two workers, which a supervisor starts again."""
    await deployment.api()
    worker = await deployment.worker("w1")
    await deployment.client.routable("w1")
    bystanders = await deployment.client.submit_many("note", {"seconds": 0.2}, 20)
    killer = (await deployment.client.submit("killer"))["job"]["id"]
    for _ in range(2):
        assert await worker.wait() == -9
        worker = await deployment.worker("w1")
    job = await deployment.client.ended(killer)
    assert job["state"] == "failed"
    assert job["error"]["kind"] == "quarantined"
    await deployment.client.all_ended()
    jobs = deployment.history.check([killer, *bystanders])
    assert {jobs[each].state for each in bystanders} == {"succeeded"}
    assert worker.alive
    assert len(deployment.history.starts_of(killer)) == 2
    answer = await deployment.client.http.get("/dlq", params={"error_kind": "quarantined"})
    assert [each["id"] for each in answer.json()["jobs"]] == [killer]


@pytest.mark.parametrize("job_type", ["leave", "segfault"])
async def test_a_process_job_that_crashes_is_charged_alone_and_its_worker_lives(
    deployment: Deployment, job_type: str
) -> None:
    """It is quarantined after its limit of two; a job of the same kind beside it succeeds."""
    await deployment.api()
    worker = await deployment.worker("w1", HERMES_WORKER__PROCESS_SLOTS="2")
    await deployment.client.routable("w1")
    bystander = (await deployment.client.submit("note.process", {"seconds": 0.5}))["job"]["id"]
    crasher = (await deployment.client.submit(job_type))["job"]["id"]
    job = await deployment.client.ended(crasher)
    assert job["error"]["kind"] == "quarantined"
    assert job["crash_count"] == 2
    assert (await deployment.client.ended(bystander))["state"] == "succeeded"
    jobs = deployment.history.check([bystander, crasher])
    assert jobs[bystander].crash_count == 0
    assert len(deployment.history.starts_of(crasher)) == 2
    assert worker.alive


@pytest.mark.faults
async def test_a_worker_back_on_the_same_port_at_once_refuses_what_was_meant_for_the_old_one(
    deployment: Deployment,
) -> None:
    """The new incarnation proves the old one dead; its jobs run again, at the new one."""
    port = {"HERMES_WORKER__PORT": str(free_port())}
    api = await deployment.api()
    worker = await deployment.worker("w1", **port)
    await deployment.client.routable("w1")
    old = (await deployment.client.workers())[0]["incarnation"]
    ids = await deployment.client.submit_many("note", {"waits": 1}, 20)
    await deployment.client.running(20)
    worker.kill9()
    await worker.wait()
    worker = await deployment.worker("w1", **port)
    ids += await deployment.client.submit_many("note", {}, 50)
    await api.logged("worker evicted", incarnation=old)
    deployment.let_go()
    await deployment.client.all_ended()
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert [each["incarnation"] for each in await deployment.client.workers()] != [old]
    assert worker.alive
