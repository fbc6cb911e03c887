"""Dramatiq with RabbitMQ: confirmed delivery, acknowledgement after the work (its default)."""

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
    name="Dramatiq",
    module="tests.bench.peers.dramatiq_peer",
    packages=("dramatiq[rabbitmq]",),
    server="rabbitmq",
    durable="persistent message in a durable queue, confirmed by RabbitMQ; no outcome is kept",
    bulk="group(...).run(): one confirmed publish a job",
    worker=(
        *("-m", "dramatiq", "tests.bench.peers.dramatiq_peer:make"),
        *("--processes", "2", "--threads", "8"),
    ),
)


def make() -> Any:
    """The actor, on the broker of the whole process; also what its command line calls."""
    import dramatiq  # type: ignore[import-not-found]  # only in its own environment
    from dramatiq.brokers.rabbitmq import RabbitmqBroker  # type: ignore[import-not-found]  # only in its own environment

    broker = RabbitmqBroker(url=url(), confirm_delivery=True)
    dramatiq.set_broker(broker)
    mark = marker()

    def noop(payload: dict[str, Any]) -> None:
        mark()

    return dramatiq.actor(noop, broker=broker)


def worker() -> None:
    """By its own command line, see PEER."""


def single(jobs: int, submitters: int) -> None:
    """One confirmed publish each."""
    actor = make()
    in_threads(lambda: actor.send(PAYLOAD), jobs, submitters)


def bulk(jobs: int) -> None:
    """A group sends its messages one by one."""
    import dramatiq

    actor = make()
    began = time.monotonic()
    for size in sizes(jobs):
        dramatiq.group([actor.message(PAYLOAD) for _ in range(size)]).run()
    told(began)


if __name__ == "__main__":
    main(Program(worker, single, bulk))
