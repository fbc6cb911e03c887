"""What Prometheus reads of real daemons after real jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import NamedTuple

import httpx
import pytest
import trio
from brokers.rabbitmq import RabbitNode
from processes.broker import open_broker
from processes.client import ApiClient, Json, until
from processes.deployment import open_deployment

from scraping.dashboard import queries, variables
from scraping.server import open_server

SLOTS = "2"
BACKLOG = 12


class Scraped(NamedTuple):
    """The metrics of both roles in the text format, what GET /stats said, and what Prometheus says.

    `series` are by the dashboard's expressions, `values` by its variables.
    """

    api: str
    worker: str
    stats: Json
    series: Mapping[str, Sequence[Json]]
    values: Mapping[str, Sequence[str]]
    rules: Sequence[Json]


@pytest.fixture(scope="session")
def promtool() -> str:
    """The program that judges metrics, rules and their tests."""
    found = which("promtool")
    if found is None:
        pytest.fail("promtool is not installed: apt-get install prometheus, or make test")
    return found


@pytest.fixture(scope="module")
def scraped(rabbitmq: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Scraped:
    """An api and a worker over every rung, after jobs that ended in every way."""
    return trio.run(_scrape, rabbitmq, tmp_path_factory.mktemp("scraped"))


async def _scrape(rabbitmq: RabbitNode, folder: Path) -> Scraped:
    async with (
        open_scene(rabbitmq, folder) as scene,
        open_server(folder, scene.targets) as server,
        httpx.AsyncClient() as http,
    ):
        api, worker = [(await http.get(f"http://{at}/metrics")).text for at in scene.targets]
        return Scraped(
            api,
            worker,
            await scene.client.stats(),
            {each.expression: await server.series(each.expression) for each in queries()},
            {each.name: await server.values(each.label, each.series) for each in variables()},
            await server.rules(),
        )


class Scene(NamedTuple):
    """A deployment at work; `targets` are host:port of its api and of its worker."""

    client: ApiClient
    targets: tuple[str, str]


@asynccontextmanager
async def open_scene(rabbitmq: RabbitNode, folder: Path) -> AsyncIterator[Scene]:
    """Daemons that have run jobs, and have more than they can run at once."""
    async with open_broker(rabbitmq) as broker, open_deployment(folder) as deployment:
        deployment.settings = broker.settings()
        await deployment.api()
        worker = await deployment.worker("worker-1", HERMES_WORKER__ASYNC_SLOTS=SLOTS)
        await deployment.client.routable("worker-1")
        await _work(deployment.client)
        await _wait_in_line(deployment.client)
        dispatch = (await worker.ready())["dispatch"]
        yield Scene(deployment.client, (f"127.0.0.1:{deployment.client.port}", dispatch))


async def _work(client: ApiClient) -> None:
    """Jobs of every kind and outcome, submits that are repeated, refused, delayed and cancelled."""
    for job_type in ("note", "note.thread", "note.process", "drowsy", "hopeless"):
        await client.submit(job_type)
    await client.submit("fragile", {"failures": 1})
    for _ in range(2):
        await client.submit("note", idempotency_key="once")
    delayed = await client.submit("note", delay=3600)
    assert (await client.http.delete(f"/jobs/{delayed['job']['id']}")).status_code == 200
    assert (await client.http.post("/jobs", json={"type": "nobodys"})).status_code == 422
    await client.submit_many("note", {"seconds": 0.01}, 2 * BACKLOG)
    await client.all_ended()


async def _wait_in_line(client: ApiClient) -> None:
    """More long jobs than slots, so that most wait at the broker."""
    await client.submit_many("note", {"seconds": 600}, BACKLOG)

    async def waits() -> bool:
        return await client.metric("hermesd_jobs_waiting_oldest_seconds") > 0

    await until(waits, "the age of jobs that wait")
