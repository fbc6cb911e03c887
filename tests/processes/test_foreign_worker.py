"""A worker written from proto/README.md alone pulls, claims, acknowledges, runs and reports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from processes.broker import BANDS, Broker
from processes.client import until
from processes.daemon import PATIENCE_SECONDS
from processes.deployment import Deployment
from processes.rungs import owned

SCRIPT = Path(__file__).with_name("foreign_worker.py")
SLOTS = 8
TYPE = "foreign.double"
NAME = "foreign-1"


class ForeignWorker:
    """The script as a process, with what it has told."""

    def __init__(self, process: trio.Process) -> None:
        self.told: list[dict[str, Any]] = []
        self._process = process
        self._more = trio.Event()

    def events(self, event: str) -> list[dict[str, Any]]:
        """What it told under this name."""
        return [line for line in self.told if line["event"] == event]

    async def tells(self, event: str) -> None:
        """Return when it has told this."""
        with trio.fail_after(PATIENCE_SECONDS):
            while not self.events(event):
                await self._more.wait()

    async def leave(self) -> None:
        """Ask it to end, and wait for its end."""
        self._process.terminate()
        with trio.fail_after(PATIENCE_SECONDS):
            assert await self._process.wait() == 0
        await self.tells("left")

    async def read(self) -> None:
        """Take down what it tells until it ends."""
        assert self._process.stdout is not None
        kept = b""
        async for chunk in self._process.stdout:
            *lines, kept = (kept + chunk).split(b"\n")
            self.told += map(json.loads, lines)
            self._more.set()
            self._more = trio.Event()


@asynccontextmanager
async def foreign_worker(
    deployment: Deployment, broker: Broker, ttl_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[ForeignWorker]:
    """A running one; it is killed in the end if it has not left."""
    endpoint = f"127.0.0.1:{deployment.control_port}"
    arguments = [endpoint, broker.node.url(), broker.namespace, str(ttl_seconds)]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            [sys.executable, str(SCRIPT), *arguments],
            env=deployment.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        worker = ForeignWorker(process)
        nursery.start_soon(worker.read)
        try:
            yield worker
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
            sys.stdout.write("".join(f"foreign: {line}\n" for line in worker.told))


@pytest.fixture
async def introduced(ladder: Deployment, broker: Broker) -> Deployment:
    """An api that knows the foreign type from a worker which has left."""
    await ladder.api()
    async with foreign_worker(ladder, broker) as worker:
        await worker.tells("registered")
        await worker.leave()
    return ladder


async def submit(deployment: Deployment, priorities: list[int]) -> list[str]:
    """Jobs 0, 1, 2... of these priorities, when all of them wait in the broker."""
    ids = [
        (await deployment.client.submit(TYPE, {"n": n}, priority=priority))["job"]["id"]
        for n, priority in enumerate(priorities)
    ]
    await owned(deployment, ids)
    return ids


async def all_done(deployment: Deployment, ids: list[str]) -> None:
    """Each job has succeeded, in one run by the foreign worker."""
    for n, job_id in enumerate(ids):
        job = await deployment.client.ended(job_id)
        assert (job["state"], job["result"]) == ("succeeded", {"doubled": 2 * n}), job
        assert (job["worker_id"], job["attempts"]) == ("foreign-1", 1)


async def empty(broker: Broker) -> None:
    """Return when the broker holds no message of the namespace."""

    async def look() -> bool:
        return not any((await broker.messages()).values())

    await until(look, "empty queues")


async def test_it_runs_what_waits_in_the_broker_the_highest_band_first(
    introduced: Deployment, broker: Broker
) -> None:
    """Each round is one claim; nothing is left behind, and each job has one recorded outcome."""
    ids = await submit(introduced, [0] * SLOTS + [3] * SLOTS + [8] * SLOTS + [10] * SLOTS)
    async with foreign_worker(introduced, broker) as worker:
        await all_done(introduced, ids)
        await worker.leave()
    assert [len(each["verdicts"]) for each in worker.events("claimed")] == [SLOTS] * len(BANDS)
    ended = [each["job"] for each in worker.events("reported")]
    rounds = [set(ended[n : n + SLOTS]) for n in range(0, len(ids), SLOTS)]
    assert rounds == [set(ids[n : n + SLOTS]) for n in range(len(ids) - SLOTS, -1, -SLOTS)]
    assert {each["verdict"] for each in worker.events("reported")} == {"VERDICT_RECORDED"}
    await empty(broker)


async def test_it_does_what_operators_order(ladder: Deployment, broker: Broker) -> None:
    """It pauses, lets a paused queue alone, goes on, and leaves when it is told to."""
    await ladder.api(HERMES_LIVENESS__HEARTBEAT_SECONDS="0.5")
    post = ladder.client.http.post
    async with foreign_worker(ladder, broker) as worker:
        await worker.tells("registered")
        paused = (await post(f"/workers/{NAME}/pause", json={"reason": "why"})).json()
        assert (paused["taken"], paused["workers"][0]["status"]) == (True, "paused")
        [shown] = [w for w in await ladder.client.workers() if w["worker_id"] == NAME]
        assert shown["reason"] == "why"
        ids = await submit(ladder, [3] * 3)
        assert (await post("/queues/default/pause")).status_code == 200
        assert (await post(f"/workers/{NAME}/resume")).json()["taken"]
        assert (await broker.messages())["default.normal"] == 3
        assert worker.events("claimed") == []
        assert (await post("/queues/default/resume")).status_code == 200
        await all_done(ladder, ids)
        assert (await post(f"/workers/{NAME}/drain")).status_code == 200
        await worker.tells("left")
        assert [each["order"] for each in worker.events("obeyed")] == ["pause", "resume", "drain"]


async def test_doubled_and_stale_messages_run_nothing_twice(
    introduced: Deployment, broker: Broker
) -> None:
    """A refusal for good is acknowledged, and a job that is granted twice runs once."""
    ids = await submit(introduced, [3] * 12)
    await broker.double(broker.queue("normal"))
    answer = await introduced.client.http.delete(f"/jobs/{ids[-1]}")
    assert answer.status_code == 200, answer.text
    async with foreign_worker(introduced, broker) as worker:
        await all_done(introduced, ids[:-1])
        await empty(broker)
        await worker.leave()
    assert len(worker.events("reported")) == len(ids) - 1
    words = [word for each in worker.events("claimed") for word in each["verdicts"]]
    assert len(words) == 2 * len(ids)
    assert words.count("cancelled") == 2
    assert set(words) <= {"granted", "finished", "cancelled"}


async def test_without_an_api_it_runs_under_the_messages_and_publishes_outcomes(
    introduced: Deployment, broker: Broker
) -> None:
    """The api that comes back records them; nothing is run again."""
    ids = await submit(introduced, [3] * 12)
    api = introduced.daemons[-1]
    api.kill9()
    await api.wait()
    async with foreign_worker(introduced, broker, ttl_seconds=1.0) as worker:

        async def all_published() -> bool:
            return len(worker.events("ran unclaimed")) == len(ids)

        await until(all_published, "unclaimed runs")
        assert (await broker.messages())["outcomes"] == len(ids)
        await introduced.api()
        await all_done(introduced, ids)
        await worker.tells("registered")
        await worker.leave()
    assert worker.events("claimed") == []
    await empty(broker)
