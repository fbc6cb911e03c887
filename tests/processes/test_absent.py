"""A daemon in both roles dies with its jobs: its next life knows at once, and charges them."""

from __future__ import annotations

import contextlib

import httpx

from processes.deployment import Deployment


async def test_what_ran_in_a_killed_daemon_runs_again_at_once(deployment: Deployment) -> None:
    """Nobody waits for the heartbeats' time limit, which is long here."""
    patient = {
        "HERMES_LIVENESS__HEARTBEAT_SECONDS": "60",
        "HERMES_LIVENESS__TTL_SECONDS": "600",
    }
    first = await deployment.both(**patient)
    await deployment.client.routable("both")
    answer = await deployment.client.submit("note", {"waits": 1})
    await deployment.client.running(1)
    first.kill9()
    await first.wait()
    second = await deployment.both(**patient)
    await second.logged("worker evicted")
    deployment.let_go()
    job = await deployment.client.ended(answer["job"]["id"])
    assert (job["state"], job["crash_count"], job["attempts"]) == ("succeeded", 1, 1)
    deployment.history.check([job["id"]])


async def test_a_job_that_kills_the_daemon_it_runs_in_is_quarantined(
    deployment: Deployment,
) -> None:
    """Each life of the daemon charges the last one's death to it, until its crash limit."""
    first = await deployment.both()
    await deployment.client.routable("both")
    with contextlib.suppress(httpx.TransportError):  # it may die before it can answer
        await deployment.client.submit("killer")
    await first.wait()
    second = await deployment.both()
    await second.wait()
    third = await deployment.both()
    await third.logged("worker evicted")
    (job_id,) = deployment.history.jobs()
    job = await deployment.client.ended(job_id)
    assert (job["state"], job["error"]["kind"]) == ("failed", "quarantined")
    assert len(deployment.history.starts_of(job_id)) == 2
    assert third.alive
