"""Opens what the worker role stands on: its dispatch port and the links; and runs the role."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from functools import partial

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

import hermesd
from hermesd.bridge.grpc_link import open_control_link
from hermesd.clock import SystemClock
from hermesd.config import Config
from hermesd.core.job import Kind
from hermesd.daemon.broker import messages_of, open_broker
from hermesd.daemon.names import SystemResolver
from hermesd.daemon.watchdog import LoopWatchdog
from hermesd.handlers.catalogue import Catalogue
from hermesd.http.server import Listener, open_listeners
from hermesd.observe.worker_metrics import WorkerMetrics
from hermesd.worker.role import Stop, run_worker
from hermesd.worker.slots import SlotTable
from hermesd.worker.state import WorkerState

ANY_HOST = frozenset({"0.0.0.0", "::"})


class RunningWorker:
    """A worker that serves its dispatch port; it registers as soon as an api answers."""

    def __init__(self, state: WorkerState):
        self._state = state
        self.stop = Stop()
        self.ended = trio.Event()

    @property
    def address(self) -> str:
        """host:port that the apis are told to dial."""
        return self._state.address

    @property
    def worker_id(self) -> str:
        """The name of this worker."""
        return self._state.worker_id

    @classmethod
    async def start(
        cls,
        nursery: trio.Nursery,
        config: Config,
        clock: SystemClock,
        log: FilteringBoundLogger,
        catalogue: Catalogue,
        endpoints: Sequence[str],
    ) -> RunningWorker:
        """Start the role in `nursery`; returns when the dispatch port serves."""
        control = msgspec.structs.replace(config.control, endpoints=tuple(endpoints))
        config = msgspec.structs.replace(config, control=control)
        listeners = await open_listeners(config.worker.host, config.worker.port)
        worker_id = config.worker.id or f"{socket.gethostname()}-{secrets.token_hex(3)}"
        state = WorkerState(
            worker_id=worker_id,
            version=hermesd.__version__,
            config=config,
            clock=clock,
            catalogue=catalogue,
            metrics=WorkerMetrics(process_collectors=config.metrics.process_collectors),
            log=log.bind(worker_id=worker_id),
            slots=SlotTable(_slots(config)),
            address=_advertised(config, listeners),
        )
        running = cls(state)
        nursery.start_soon(LoopWatchdog(config.liveness.ttl_seconds, state.log).run)
        await nursery.start(running._run, listeners)
        return running

    async def _run(
        self,
        listeners: list[Listener],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        open_link = partial(
            open_control_link,
            call_timeout_seconds=self._state.config.control.call_timeout_seconds,
        )
        state, queue = self._state, self._state.config.queue
        try:
            async with open_broker(queue, state.log) as broker:
                if broker is not None:
                    state.broker, state.messages = broker, messages_of(queue)
                await run_worker(
                    state,
                    listeners,
                    open_link,
                    SystemResolver(),
                    self.stop,
                    task_status=task_status,
                )
        finally:
            for listener in listeners:
                await listener.aclose()
            self.ended.set()


def _slots(config: Config) -> dict[str, int]:
    worker = config.worker
    return {
        str(Kind.ASYNC): worker.async_slots,
        str(Kind.THREAD): worker.thread_slots,
        str(Kind.PROCESS): worker.process_slots or len(os.sched_getaffinity(0)),
    }


def _advertised(config: Config, listeners: list[Listener]) -> str:
    """What the apis dial: as configured, else the bound address, else this host's name."""
    first = listeners[0]
    assert isinstance(first, trio.SocketListener)  # the dispatch port has no TLS of its own yet
    port = first.socket.getsockname()[1]
    host = config.worker.advertise or config.worker.host
    if host in ANY_HOST:
        host = socket.getfqdn()
    name, colon, given = host.rpartition(":")
    if colon and given.isdigit() and (":" not in name or name.startswith("[")):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
