"""Celery with RabbitMQ: publisher confirms, late acknowledgement, no result backend."""

from __future__ import annotations

import time
from typing import Any

from tests.bench.peers.peer import (
    PAYLOAD,
    Peer,
    Program,
    in_threads,
    main,
    marker,
    sizes,
    told,
    url,
)

PEER = Peer(
    name="Celery",
    module="tests.bench.peers.celery_peer",
    packages=("celery",),
    server="rabbitmq",
    durable="persistent message in a durable queue, confirmed by RabbitMQ; no outcome is kept",
    bulk="group(...).apply_async(): one confirmed publish a job",
)


def make() -> tuple[Any, Any]:
    """The app and its task."""
    import celery  # type: ignore[import-not-found]  # only in its own environment

    app = celery.Celery("bench", broker=url())
    app.conf.update(
        broker_transport_options={"confirm_publish": True},
        broker_connection_retry_on_startup=True,
        broker_pool_limit=32,
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=64,
        worker_hijack_root_logger=False,
    )
    mark = marker()

    def noop(payload: dict[str, Any]) -> None:
        mark()

    return app, app.task(name="noop")(noop)


def worker() -> None:
    """Two processes, as there are cores."""
    options = ["--loglevel=ERROR", "--concurrency=2", "--without-gossip", "--without-mingle"]
    make()[0].worker_main(["worker", *options, "--without-heartbeat"])


def single(jobs: int, submitters: int) -> None:
    """One confirmed publish each."""
    _, task = make()
    in_threads(lambda: task.apply_async((PAYLOAD,)), jobs, submitters)


def bulk(jobs: int) -> None:
    """Groups share a producer."""
    import celery

    _, task = make()
    began = time.monotonic()
    for size in sizes(jobs):
        celery.group(task.s(PAYLOAD) for _ in range(size)).apply_async()
    told(began)


if __name__ == "__main__":
    main(Program(worker, single, bulk))
