"""A real worker role over a direct link, and handlers that do what a test tells them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec
import structlog
import trio

from hermesd.clock import TrioClock
from hermesd.config import Config
from hermesd.handlers.contract import Handler
from hermesd.handlers.loader import load_plugins
from hermesd.http.server import open_listeners
from hermesd.observe.worker_metrics import WorkerMetrics
from hermesd.testing.links import DirectLink
from hermesd.testing.names import KnownNames
from hermesd.worker.role import Stop, run_worker
from hermesd.worker.slots import SlotTable
from hermesd.worker.state import WorkerState

SLOTS = {"async": 4, "thread": 2, "process": 0}


class Road(Protocol):
    """How a worker reaches its apis."""

    def open(self, endpoint: str) -> AbstractAsyncContextManager[DirectLink]:
        """The link to an endpoint."""

    def hang_up(self) -> None:
        """Cut all of it."""


@dataclass
class Worker:
    """One worker process, as good as."""

    state: WorkerState
    stop: Stop
    link: Road
    ended: trio.Event
    scope: trio.CancelScope

    def kill(self) -> None:
        """End it as SIGKILL would: nothing is said, and nobody listens any more."""
        self.link.hang_up()
        self.scope.cancel()


@asynccontextmanager
async def open_worker(
    link: Road,
    handlers: Sequence[Handler],
    *,
    name: str = "w1",
    settings: Mapping[str, Any] | None = None,
    slots: Mapping[str, int] = SLOTS,
    names: KnownNames | None = None,
) -> AsyncIterator[Worker]:
    """A worker whose port serves; killed at the end."""
    config = msgspec.convert(settings or {}, Config)
    listeners = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]  # type: ignore[union-attr]  # no TLS here
    state = WorkerState(
        worker_id=name,
        version="0",
        config=config,
        clock=TrioClock(),
        catalogue=load_plugins(enabled=["(none)"], extra=handlers),
        metrics=WorkerMetrics(),
        log=structlog.get_logger(),
        slots=SlotTable(slots),
        address=f"127.0.0.1:{port}",
    )
    worker = Worker(state, Stop(), link, trio.Event(), trio.CancelScope())
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(_run, worker, listeners, names or KnownNames()))
        yield worker
        worker.kill()


async def _run(
    worker: Worker,
    listeners: Any,
    names: KnownNames,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with worker.scope:
        await run_worker(
            worker.state,
            listeners,
            worker.link.open,
            names,
            worker.stop,
            task_status=task_status,
        )
    worker.ended.set()
