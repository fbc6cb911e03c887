"""Declaring queues at a node that may be short of processor time."""

from __future__ import annotations

from typing import Final

import trio

from hermesd.core.broker import Topology
from hermesd.core.errors import Unavailable
from hermesd.ports import Broker

PATIENCE_SECONDS: Final = 150.0
NOT_MADE: Final = "cluster_not_formed"


async def declare(line: Broker, topology: Topology) -> None:
    """Declare it as the api does, which tries again.

    RabbitMQ gives up a quorum queue that is not made within five seconds, and closes the connection
    for it: so it does at times on a busy machine, above all when it has just booted.
    """
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            try:
                await line.declare(topology)
            except Unavailable as error:
                if NOT_MADE not in error.detail:
                    raise
                while not line.status.serving:
                    await line.changed()
            else:
                return
