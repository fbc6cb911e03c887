"""Taskiq with RabbitMQ: persistent, confirmed messages, acknowledged after the work."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.bench.peers.peer import PAYLOAD, Peer, Program, in_tasks, main, marker, sizes, told, url

PEER = Peer(
    name="Taskiq",
    module="tests.bench.peers.taskiq_peer",
    packages=("taskiq", "taskiq-aio-pika", "uvloop"),
    server="rabbitmq",
    durable="persistent message in a durable queue, confirmed by RabbitMQ; no outcome is kept",
    bulk="has none: 500 kiq() at a time, each confirmed",
    worker=(
        *("-m", "taskiq", "worker", "tests.bench.peers.taskiq_peer:make_broker"),
        *("--workers", "2", "--log-level", "ERROR", "--ack-type", "when_executed"),
    ),
)


def make_broker() -> Any:
    """Also what its command line calls."""
    from taskiq_aio_pika import AioPikaBroker  # type: ignore[import-not-found]  # only in its own environment

    broker = AioPikaBroker(url(), qos=64)
    mark = marker()

    async def noop(payload: dict[str, Any]) -> None:
        mark()

    broker.register_task(noop, task_name="noop")
    return broker


def worker() -> None:
    """By its own command line, see PEER."""


def single(jobs: int, submitters: int) -> None:
    """One confirmed publish each."""

    async def run() -> None:
        broker = make_broker()
        await broker.startup()
        task = broker.find_task("noop")
        await in_tasks(lambda: task.kiq(PAYLOAD), jobs, submitters)
        await broker.shutdown()

    asyncio.run(run())


def bulk(jobs: int) -> None:
    """All of a batch at once."""

    async def run() -> None:
        broker = make_broker()
        await broker.startup()
        task = broker.find_task("noop")
        began = time.monotonic()
        for size in sizes(jobs):
            await asyncio.gather(*(task.kiq(PAYLOAD) for _ in range(size)))
        told(began)
        await broker.shutdown()

    asyncio.run(run())


if __name__ == "__main__":
    main(Program(worker, single, bulk))
