"""Orders of the command line to real daemons: workers pause, resume and leave, queues stand."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from processes.broker import Broker
from processes.client import ApiClient, until
from processes.deployment import Deployment
from processes.rungs import owned, serves
from processes.several import SeveralApis, open_several

NAMES = ("api-1", "api-2")


@pytest.fixture
async def several(tmp_path: Path, postgresql_url: str) -> AsyncIterator[SeveralApis]:
    """Two apis with an empty store; nothing is started."""
    async with open_several(tmp_path, postgresql_url, NAMES) as opened:
        yield opened


async def hermesd(client: ApiClient, *arguments: str, code: int = 0) -> Any:
    """What a command prints as JSON."""
    import trio

    url = f"http://127.0.0.1:{client.port}"
    argv = [sys.executable, "-m", "hermesd.cli", "--url", url, "--json", *arguments]
    done = await trio.run_process(argv, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout or done.stderr)


async def status(client: ApiClient, worker: str) -> str:
    """How a worker looks from an api; empty where it is not known."""
    found = [each for each in await client.workers() if each["worker_id"] == worker]
    return str(found[0]["status"]) if found else ""


async def stands(client: ApiClient, worker: str, wanted: str) -> None:
    """Return when a worker looks like this."""

    async def look() -> bool:
        return await status(client, worker) == wanted

    await until(look, f"{worker} to be {wanted}")


async def test_a_worker_is_paused_at_one_api_for_all_of_them(several: SeveralApis) -> None:
    """It keeps running what it has; another api gives it nothing either, and can resume it."""
    daemons = [await several.api(name) for name in NAMES]
    for daemon in daemons:
        await daemon.logged("api heard of")
    one, two = several.client("api-1"), several.client("api-2")
    await several.worker("w1")
    await several.routable("w1")
    running = (await one.submit("note", {"seconds": 1.0}))["job"]["id"]
    answer = await hermesd(one, "workers", "pause", "w1", "--reason", "a new disk")
    assert answer["taken"], answer
    await stands(two, "w1", "paused")
    [worker] = [each for each in await two.workers() if each["worker_id"] == "w1"]
    assert worker["reason"] == "a new disk"
    waits = await two.submit("note")
    assert waits["routed"] == "queue"
    assert "1 paused" in waits["note"]
    assert (await one.ended(running))["state"] == "succeeded"
    assert (await two.job(waits["job"]["id"]))["state"] == "queued"
    assert (await hermesd(two, "workers", "resume", "--all"))["taken"]
    assert (await two.ended(waits["job"]["id"]))["state"] == "succeeded"


async def test_a_queue_is_paused_at_one_api_for_all_of_them(several: SeveralApis) -> None:
    """By a word on the bus; resumed at the other one its jobs run."""
    daemons = [await several.api(name) for name in NAMES]
    for daemon in daemons:
        await daemon.logged("api heard of")
    one, two = several.client("api-1"), several.client("api-2")
    await several.worker("w1")
    await several.routable("w1")
    await hermesd(one, "queues", "pause", "default", "--reason", "migration")
    await daemons[1].logged("paused queues", queues=["default"])
    waits = await two.submit("note")
    assert waits["note"].startswith("queued: queue default is paused (migration)")
    queue = (await hermesd(two, "queues", "resume", "default"))["queue"]
    assert not queue["paused"]
    assert (await one.ended(waits["job"]["id"]))["state"] == "succeeded"


async def test_a_worker_that_is_told_to_leave_ends_with_0(deployment: Deployment) -> None:
    """Its jobs end first, and it is not to be started again; the command sees it through."""
    await deployment.api()
    worker = await deployment.worker("w1")
    await deployment.client.routable("w1")
    job_id = (await deployment.client.submit("note", {"seconds": 2.0}))["job"]["id"]
    told = await hermesd(deployment.client, "workers", "drain", "w1", "--wait")
    assert (told["workers"], told["left"]) == (["w1"], [])
    assert await worker.wait() == 0
    assert (await deployment.client.job(job_id))["state"] == "succeeded"
    refused = await hermesd(deployment.client, "workers", "pause", "w1", code=1)
    assert refused["error"]["slug"] == "not-found"


async def test_this_host_is_drained_at_once(deployment: Deployment) -> None:
    """Both workers give their jobs back, attempts included, and end."""
    await deployment.api()
    workers = [await deployment.worker(name, HERMES_DRAIN__SECONDS="600") for name in ("w1", "w2")]
    await deployment.client.routable("w1", "w2")
    ids = [
        (await deployment.client.submit("note", {"seconds": 600.0}, timeout=900))["job"]["id"]
        for _ in range(4)
    ]
    told = await hermesd(deployment.client, "drain", "--at-once")
    assert (sorted(told["workers"]), told["left"]) == (["w1", "w2"], [])
    running = [job["id"] for forecast in told["forecasts"] for job in forecast["jobs"]]
    assert sorted(running) == sorted(ids)
    for worker in workers:
        assert await worker.wait() == 0
    for job_id in ids:
        job = await deployment.client.job(job_id)
        assert (job["state"], job["attempts"]) == ("queued", 0)


async def test_a_drained_daemon_of_both_roles_stays_an_api(deployment: Deployment) -> None:
    """Nobody who empties a worker means that submits be refused; it ends as ever."""
    daemon = await deployment.both()
    await deployment.client.routable("both")
    job_id = (await deployment.client.submit("note", {"seconds": 1.0}))["job"]["id"]
    told = await hermesd(deployment.client, "drain")
    assert told["left"] == []
    assert (await deployment.client.job(job_id))["state"] == "succeeded"
    waits = await deployment.client.submit("note")
    assert waits["note"] == "queued: no worker is registered"
    daemon.sigterm()
    assert await daemon.wait() == 0


@pytest.mark.faults
async def test_a_paused_queue_stands_still_on_all_rungs(ladder: Deployment, broker: Broker) -> None:
    """What waits in RabbitMQ stays there, new jobs wait in the store; others go on."""
    ladder.settings["HERMES_QUEUES__BULK__MAX_WAITING"] = "0"
    api = await ladder.api()
    await serves(ladder, "amqp")
    before = await ladder.client.submit_many("note", {}, 20)
    await owned(ladder, before)
    paused = await hermesd(ladder.client, "queues", "pause", "default", "--reason", "why")
    assert (paused["queue"]["paused"], paused["queue"]["at_broker"]) == (True, 20)
    after = await ladder.client.submit_many("note", {}, 20)
    settings = {"HERMES_WORKER__QUEUES": json.dumps(["default", "bulk"])}
    await ladder.worker("w1", **settings)
    await ladder.client.routable("w1")
    other = await ladder.client.submit("note", queue="bulk")
    assert (await ladder.client.ended(other["job"]["id"]))["state"] == "succeeded"
    api.sigterm()
    assert await api.wait() == 0
    await ladder.api()
    await ladder.client.routable("w1")
    other = await ladder.client.submit("note", queue="bulk")
    assert (await ladder.client.ended(other["job"]["id"]))["state"] == "succeeded"
    [bulk, default] = (await hermesd(ladder.client, "queues", "list"))["queues"]
    assert (default["paused"], default["waiting"], default["running"]) == (True, 40, 0)
    assert (bulk["paused"], bulk["waiting"]) == (False, 0)
    assert (await broker.messages())["default.normal"] == 20
    assert len(ladder.history.starts()) == 2
    assert await ladder.client.metric("hermesd_queue_paused", queue="default") == 1
    resumed = await hermesd(ladder.client, "queues", "resume", "default")
    assert not resumed["queue"]["paused"]
    await ladder.client.all_ended()
    jobs = ladder.history.check([*before, *after])
    assert {row.state for row in jobs.values()} == {"succeeded"}
