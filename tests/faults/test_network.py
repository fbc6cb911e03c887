"""The network between api and workers fails in parts (faults 7, 8, 9, 33)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from processes.daemon import DaemonProcess
from processes.deployment import QUICK, Deployment
from processes.ports import free_port
from processes.proxy import Proxy, open_proxy


@pytest.fixture
async def dispatch() -> AsyncIterator[Proxy]:
    """A proxy before the dispatch port of a worker."""
    async with open_proxy(free_port()) as proxy:
        yield proxy


@pytest.fixture
async def control(deployment: Deployment) -> AsyncIterator[Proxy]:
    """A proxy before the control port of the api."""
    async with open_proxy(deployment.control_port) as proxy:
        yield proxy


async def start_far(deployment: Deployment, dispatch: Proxy, **settings: str) -> DaemonProcess:
    """A worker that the api reaches through the proxy only."""
    far = {
        "HERMES_WORKER__PORT": str(dispatch.target),
        "HERMES_WORKER__ADVERTISE": dispatch.address,
    }
    return await deployment.worker("far", **far, **settings)


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["black hole", "refusal"])
async def test_a_blocked_dispatch_port_unroutes_a_worker_that_heartbeats(
    deployment: Deployment, dispatch: Proxy, fault: str
) -> None:
    """Its jobs go elsewhere, it is not evicted, and it comes back by itself."""
    deployment.settings = {"HERMES_LIVENESS__HEARTBEAT_SECONDS": "0.5"}
    api = await deployment.api()
    far = await start_far(deployment, dispatch)
    await deployment.worker("near")
    await deployment.client.routable("far", "near")
    (dispatch.black_hole if fault == "black hole" else dispatch.refuse)()
    before = len(api.log)
    ids = [(await deployment.client.submit("note"))["job"]["id"] for _ in range(50)]
    await api.logged("worker unrouted", after=before, worker_id="far", seconds=5)
    await deployment.client.all_ended()
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert {start.pid for start in deployment.history.starts()} != {far.pid}
    assert len(deployment.history.starts()) == len(ids)
    if fault == "black hole":
        dispatch.heal()
    else:
        await dispatch.listen()
    await deployment.client.routable("far", "near")
    assert not api.events("worker evicted")
    ids += await deployment.client.submit_many("note", {}, 100)
    await deployment.client.all_ended()
    deployment.history.check(ids)
    assert far.pid in {start.pid for start in deployment.history.starts()[50:]}
    assert await deployment.client.metric("hermesd_invariant_breaches_total") == 0


@pytest.mark.faults
async def test_jobs_wait_in_the_queue_while_the_only_dispatch_port_is_blocked(
    deployment: Deployment, dispatch: Proxy
) -> None:
    """Submits go on to be accepted, and run when the port is open again."""
    deployment.settings = {"HERMES_LIVENESS__HEARTBEAT_SECONDS": "0.5"}
    api = await deployment.api()
    await start_far(deployment, dispatch)
    await deployment.client.routable("far")
    dispatch.refuse()
    answers = [await deployment.client.submit("note") for _ in range(20)]
    await api.logged("worker unrouted", seconds=5)
    assert {answer["routed"] for answer in answers} == {"queue"}
    await dispatch.listen()
    await deployment.client.all_ended()
    deployment.history.check([answer["job"]["id"] for answer in answers])
    assert not api.events("worker evicted")


@pytest.mark.faults
async def test_a_worker_whose_heartbeats_are_blocked_is_evicted_without_a_double_outcome(
    deployment: Deployment, control: Proxy
) -> None:
    """Dispatch passes, the control line does not: at the TTL its jobs go elsewhere."""
    deployment.settings = QUICK
    api = await deployment.api()
    endpoints = {"HERMES_CONTROL__ENDPOINTS": f'["{control.address}"]'}
    far = await deployment.worker("far", **endpoints)
    await deployment.client.routable("far")
    old = (await deployment.client.workers())[0]["incarnation"]
    ids = await deployment.client.submit_many("note", {"waits": 1}, 20)
    await deployment.client.running(20)
    control.black_hole()
    await deployment.worker("near")
    await api.logged("worker evicted", incarnation=old)
    deployment.let_go()
    await deployment.client.all_ended()
    control.heal()
    await far.logged("fenced, coming back", fenced=old)
    await deployment.client.routable("far", "near")
    jobs = deployment.history.check(ids)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert {row.crash_count for row in jobs.values()} == {0}
    settled = await deployment.client.metric("hermesd_jobs_settled_total", outcome="succeed")
    assert settled == len(ids)


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [0.0, 4.0], ids=["ended meanwhile", "still running"])
async def test_a_lost_dispatch_answer_starts_nothing_twice(
    deployment: Deployment, dispatch: Proxy, seconds: float
) -> None:
    """The repeated batch gets the answer that the first one got, whether its job runs or ended."""
    deployment.settings = {"HERMES_LIVENESS__HEARTBEAT_SECONDS": "30"} | {
        "HERMES_LIVENESS__TTL_SECONDS": "90"
    }
    api = await deployment.api()
    far = await start_far(deployment, dispatch)
    await deployment.client.routable("far")
    dispatch.answers.shut()
    answer = await deployment.client.submit("note", {"seconds": seconds})
    job_id = answer["job"]["id"]
    await api.logged("dispatch unanswered")
    if not seconds:
        assert (await deployment.client.ended(job_id))["state"] == "succeeded"
    dispatch.cut()
    dispatch.heal()
    assert (await deployment.client.ended(job_id))["state"] == "succeeded"
    await deployment.client.routable("far")
    deployment.history.check([job_id])
    assert len(deployment.history.starts_of(job_id)) == 1
    assert not api.events("worker evicted")
    assert far.alive


@pytest.mark.faults
async def test_a_fence_settles_an_unanswered_batch_while_its_path_is_dead(
    deployment: Deployment, dispatch: Proxy
) -> None:
    """The worker says by heartbeat that it never got the batch: the job runs elsewhere, once."""
    deployment.settings = {"HERMES_LIVENESS__HEARTBEAT_SECONDS": "0.5"}
    api = await deployment.api()
    await start_far(deployment, dispatch)
    await deployment.client.routable("far")
    dispatch.black_hole()
    job_id = (await deployment.client.submit("note"))["job"]["id"]
    await api.logged("dispatch unanswered")
    await deployment.worker("near")
    job = await deployment.client.ended(job_id)
    assert (job["state"], job["worker_id"]) == ("succeeded", "near")
    dispatch.heal()  # now the old batch arrives as well, and is refused behind the fence
    await deployment.client.routable("far", "near")
    deployment.history.check([job_id])
    assert len(deployment.history.starts_of(job_id)) == 1
