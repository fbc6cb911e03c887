"""Many workers in one process, each with its own identity, port, link and heartbeat.

    python -m tests.bench.fleet COUNT

As separate processes a hundred would measure the machine's memory, and not the api. They share the
lines on single jobs that one process may write a second: a hundred times as many would measure the
log, which workers on machines of their own write there.
"""

from __future__ import annotations

import os
import signal
import sys

import msgspec
import trio

from hermesd.bridge.loop import open_bridge
from hermesd.clock import SystemClock
from hermesd.config import Config, load
from hermesd.daemon.worker import RunningWorker
from hermesd.handlers.loader import load_plugins
from hermesd.observe.logs import configure_logging
from tests.bench.app import handlers


async def serve(count: int, config: Config) -> None:
    """Run `count` workers until SIGTERM, then let all of them drain."""
    log = configure_logging(config.log.level, config.log.format, sys.stderr).bind()
    share = max(config.log.jobs_per_second // count, 1)
    config = msgspec.structs.replace(
        config, log=msgspec.structs.replace(config.log, jobs_per_second=share)
    )
    catalogue = load_plugins(disabled=config.plugins.disabled, extra=handlers(None))
    async with open_bridge(), trio.open_nursery() as nursery:
        workers = []
        for number in range(count):
            own = msgspec.structs.replace(config.worker, id=f"bench-{number:03}", port=0)
            workers.append(
                await RunningWorker.start(
                    nursery,
                    msgspec.structs.replace(config, worker=own),
                    SystemClock(),
                    log,
                    catalogue,
                    config.control.endpoints,
                )
            )
        log.info("ready", workers=count)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                break
        for worker in workers:
            worker.stop.drain.set()
        for worker in workers:
            await worker.ended.wait()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(serve, int(sys.argv[1]), load([], os.environ))
