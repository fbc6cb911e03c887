"""Processes stand still for longer than the TTL and go on (faults 6 and 26)."""

from __future__ import annotations

import pytest
import trio
from processes.deployment import QUICK, Deployment


@pytest.mark.faults
async def test_the_late_outcomes_of_a_paused_worker_are_refused(deployment: Deployment) -> None:
    """Its jobs ran again elsewhere; what it says of them when it wakes counts for nothing."""
    deployment.settings = QUICK
    api = await deployment.api()
    paused = await deployment.worker("paused")
    await deployment.client.routable("paused")
    ids = await deployment.client.submit_many("note", {"seconds": 6}, 10)
    await deployment.client.running(10)
    old = (await deployment.client.workers())[0]["incarnation"]
    await deployment.worker("awake")
    await deployment.client.routable("paused", "awake")
    paused.sigstop()
    await api.logged("worker evicted", incarnation=old)
    await deployment.client.all_ended()
    paused.sigcont()
    await paused.logged("fenced, coming back", fenced=old)
    await deployment.client.routable("paused", "awake")
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    starts = deployment.history.starts()
    assert len(starts) == 2 * len(ids)
    second = {(start.job_id, start.lease) for start in starts[len(ids) :]}
    assert {(each, jobs[each].lease) for each in ids} == second
    assert {row.crash_count for row in jobs.values()} == {0}
    assert await deployment.client.metric("hermesd_jobs_settled_total", outcome="succeed") == 10


@pytest.mark.faults
@pytest.mark.parametrize(("settings", "seconds"), [(QUICK, 5.0), ({}, 20.0)], ids=["2s", "15s"])
async def test_no_worker_is_evicted_for_a_pause_of_its_api(
    deployment: Deployment, settings: dict[str, str], seconds: float
) -> None:
    """Time in which the api itself did not run is not the workers' silence."""
    deployment.settings = settings
    api = await deployment.api()
    workers = [await deployment.worker(name) for name in ("w1", "w2")]
    await deployment.client.routable("w1", "w2")
    before = {each["incarnation"] for each in await deployment.client.workers()}
    ids = await deployment.client.submit_many("note", {"seconds": seconds / 2}, 20)
    await deployment.client.running(20)
    api.sigstop()
    await trio.sleep(seconds)  # the fault itself: nothing happens in a process that stands still
    api.sigcont()
    await deployment.client.all_ended()
    assert {each["incarnation"] for each in await deployment.client.workers()} == before
    assert not api.events("worker evicted")
    assert not any(worker.events("fenced, coming back") for worker in workers)
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert len(deployment.history.starts()) == len(ids)
