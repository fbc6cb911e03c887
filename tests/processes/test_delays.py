"""Jobs that wait for their time, through a real daemon."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import httpx
import trio

from processes.deployment import Deployment


async def test_a_delayed_job_runs_at_its_time_and_never_before(deployment: Deployment) -> None:
    """By delay and by time, over HTTP; an earlier one that comes later is not held up."""
    await deployment.both()
    await deployment.client.routable("both")
    far = await deployment.client.submit("note", delay=3600)
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    timed = await deployment.client.submit("note", run_at=at.isoformat())
    soon = await deployment.client.submit("note", delay=0.5)
    assert {each["routed"] for each in (far, timed, soon)} == {"scheduled"}
    jobs = [await deployment.client.ended(each["job"]["id"]) for each in (soon, timed)]
    for job in jobs:
        assert job["state"] == "succeeded"
        assert job["started_at"] >= job["run_at"]
    assert jobs[0]["started_at"] <= jobs[1]["started_at"]
    assert (await deployment.client.job(far["job"]["id"]))["state"] == "scheduled"
    stats = await deployment.client.stats()
    assert stats["jobs"]["scheduled"] == 1


async def test_scheduled_jobs_outlive_the_daemon(deployment: Deployment) -> None:
    """What fell due while nothing ran is run at the start; a cancelled one is not."""
    daemon = await deployment.both()
    await deployment.client.routable("both")
    due = await deployment.client.submit("note", delay=1.0)
    off = await deployment.client.submit("note", delay=1.0)
    answer = await deployment.client.http.delete(f"/jobs/{off['job']['id']}")
    assert answer.status_code == httpx.codes.OK
    daemon.kill9()
    await daemon.wait()
    at = datetime.fromisoformat(due["job"]["run_at"]).timestamp()
    await trio.sleep(max(at - time.time(), 0))
    await deployment.both()
    assert (await deployment.client.ended(due["job"]["id"]))["state"] == "succeeded"
    assert (await deployment.client.job(off["job"]["id"]))["state"] == "cancelled"
    assert len(deployment.history.starts()) == 1
