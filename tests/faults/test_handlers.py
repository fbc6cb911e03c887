"""Handlers that misbehave (faults 18, 19 and 31)."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from processes.client import until
from processes.deployment import QUICK, Deployment


@pytest.mark.faults
async def test_a_process_job_that_never_ends_is_killed_at_its_time_limit(
    deployment: Deployment,
) -> None:
    """Its child is killed, the worker lives, the job has failed with `timeout`."""
    worker = await deployment.both()
    await deployment.client.routable("both")
    answer = await deployment.client.submit("spin", timeout=1.0)
    job = await deployment.client.ended(answer["job"]["id"])
    assert (job["state"], job["error"]["kind"]) == ("failed", "timeout")
    assert worker.alive
    assert (await deployment.client.ended((await deployment.client.submit("note"))["job"]["id"]))[
        "state"
    ] == "succeeded"


@pytest.mark.faults
@pytest.mark.parametrize("job_type", ["deaf", "stubborn"])
async def test_a_job_that_ignores_its_end_is_overruled(
    deployment: Deployment, job_type: str
) -> None:
    """At timeout plus grace the api ends it; what the worker says of it later is dropped."""
    deployment.settings = {"HERMES_WORKER__TIMEOUT_GRACE_SECONDS": "1"}
    await deployment.both()
    await deployment.client.routable("both")
    answer = await deployment.client.submit(job_type, {"seconds": 6.0}, timeout=1.0)
    job = await deployment.client.ended(answer["job"]["id"])
    assert (job["state"], job["error"]["kind"]) == ("failed", "timeout")

    async def slots_are_back() -> bool:
        [worker] = await deployment.client.workers()
        return bool(worker["free"] == worker["slots"])

    await until(slots_are_back, "the slot of the overruled job")
    deployment.history.check([job["id"]])


@pytest.mark.faults
async def test_a_worker_with_too_many_lost_threads_recycles_itself(deployment: Deployment) -> None:
    """It drains and exits with 75, though the threads go on; the jobs end as failed."""
    deployment.settings = {
        "HERMES_WORKER__TIMEOUT_GRACE_SECONDS": "1",
        "HERMES_WORKER__MAX_LOST_THREADS": "1",
        "HERMES_DRAIN__SECONDS": "1",
    }
    await deployment.api()
    worker = await deployment.worker("w1")
    await deployment.client.routable("w1")
    ids = [
        (await deployment.client.submit("stubborn", {"seconds": 300.0}, timeout=1.0))["job"]["id"]
        for _ in range(2)
    ]
    assert await worker.wait() == 75
    for job_id in ids:
        assert (await deployment.client.ended(job_id))["error"]["kind"] == "timeout"
    deployment.history.check(ids)


@pytest.mark.faults
async def test_a_handler_that_blocks_the_event_loop_costs_no_job(deployment: Deployment) -> None:
    """The worker is silent past its TTL: its jobs run elsewhere, and it comes back."""
    deployment.settings = QUICK
    api = await deployment.api()
    blocked = await deployment.worker("blocked")
    await deployment.client.routable("blocked")
    ids = await deployment.client.submit_many("note", {"waits": 1}, 10)
    await deployment.client.running(10)
    ids.append((await deployment.client.submit("blocker", {"seconds": 4.0}))["job"]["id"])
    await api.logged("worker evicted", worker_id="blocked")
    deployment.let_go()
    await deployment.worker("free")
    await blocked.logged("fenced, coming back")
    await deployment.client.all_ended()
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}


@pytest.mark.faults
async def test_a_handler_that_blocks_the_event_loop_for_good_is_found_out(
    deployment: Deployment,
) -> None:
    """Its worker says where it stands, ends to be started anew, and the death is charged."""
    deployment.settings = {
        "HERMES_LIVENESS__HEARTBEAT_SECONDS": "2",
        "HERMES_LIVENESS__TTL_SECONDS": "12",
    }
    api = await deployment.api()
    worker = await deployment.worker("w1")
    await deployment.client.routable("w1")
    job_id = (await deployment.client.submit("blocker", {"seconds": 600.0}))["job"]["id"]
    told = await worker.logged("event loop stands still, ending")
    assert "blocker" in told["stack"]
    assert await worker.wait() == 75
    await api.logged("worker evicted", worker_id="w1")
    assert (await deployment.client.job(job_id))["crash_count"] == 1


@pytest.mark.faults
async def test_a_child_that_keeps_memory_is_recycled(deployment: Deployment) -> None:
    """After max_jobs_per_child jobs it is replaced, and its memory is free again."""
    settings = {"HERMES_WORKER__MAX_JOBS_PER_CHILD": "1", "HERMES_WORKER__PROCESS_SLOTS": "1"}
    await deployment.both(**settings)
    await deployment.client.routable("both")
    ids = [
        (await deployment.client.submit("greedy", {"bytes": 50_000_000}))["job"]["id"]
        for _ in range(3)
    ]
    await deployment.client.all_ended()
    assert {row.state for row in deployment.history.check(ids).values()} == {"succeeded"}
    assert len({start.pid for start in deployment.history.starts()}) == len(ids)


async def test_an_unstorable_result_fails_alone(deployment: Deployment) -> None:
    """A NUL, a lone surrogate, an object, and one over its size, among good ones."""
    await deployment.both()
    await deployment.client.routable("both")
    client = deployment.client
    good = await client.submit_many("note", {"seconds": 0.1}, 50)
    bad = [
        (await client.submit("strange", {"what": what}, max_attempts=2))["job"]["id"]
        for what in ("surrogate", "object")
    ]
    bad.append((await client.submit("bulky", {"bytes": 3_000_000}))["job"]["id"])
    nul = (await client.submit("strange", {"what": "nul"}))["job"]["id"]
    await client.all_ended()
    jobs = deployment.history.check([*good, *bad, nul])
    assert {jobs[each].state for each in good} == {"succeeded"}
    for each in bad:
        job = await client.job(each)
        assert (job["state"], job["error"]["kind"]) == ("failed", "unstorable-result")
    job = await client.job(nul)
    assert job["state"] in ("succeeded", "failed")
    assert job["result"] == "a\x00b" or job["error"]["kind"] == "unstorable-result"
    assert len(deployment.history.starts()) == len(good) + len(bad) + 1


@pytest.mark.faults
@pytest.mark.parametrize("role", ["api", "worker"])
@pytest.mark.parametrize("hours", [1, -1])
async def test_a_jump_of_the_wall_clock_disturbs_no_lease(
    deployment: Deployment, tmp_path: Path, role: str, hours: int
) -> None:
    """An hour either way at one of them: nobody is evicted, no job is overruled, none hangs."""
    deployment.settings = QUICK
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("d", 0.0))
    bent = {"CLOCK_FILE": str(clock)}
    api = await deployment.api(**(bent if role == "api" else {}))
    worker = await deployment.worker("w1", **(bent if role == "worker" else {}))
    await deployment.client.routable("w1")
    ids = await deployment.client.submit_many("note", {"seconds": 3.0}, 20)
    await deployment.client.running(20)
    with clock.open("r+b") as opened:
        opened.write(struct.pack("d", hours * 3600.0))
    ids += await deployment.client.submit_many("note", {}, 20)
    ids.append((await deployment.client.submit("fragile", {"failures": 2}))["job"]["id"])
    await deployment.client.all_ended()
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert len(deployment.history.starts()) == len(ids) + 2
    assert not api.events("worker evicted")
    assert not worker.events("fenced, coming back")
