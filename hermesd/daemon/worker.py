"""Opens what the worker role stands on: its dispatch port and the links; and runs the role."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

import hermesd
from hermesd.bridge.grpc_link import open_control_link
from hermesd.clock import SystemClock
from hermesd.config import Config
from hermesd.daemon.broker import messages_of, open_broker
from hermesd.daemon.names import SystemResolver
from hermesd.handlers.catalogue import Catalogue
from hermesd.http.server import Listener, open_listeners
from hermesd.observe.tracing import Tracing
from hermesd.observe.worker_metrics import WorkerMetrics
from hermesd.worker.role import Stop, run_worker
from hermesd.worker.slots import SlotTable, totals_of
from hermesd.worker.state import WorkerState

if TYPE_CHECKING:
    from hermesd.bridge.amqp_line import BrokerLine

ANY_HOST = frozenset({"0.0.0.0", "::"})


class RunningWorker:
    """A worker that serves its dispatch port; it registers as soon as an api answers."""

    def __init__(self, state: WorkerState):
        self._state = state
        self.stop = Stop()
        self.ended = trio.Event()
        self._broker: BrokerLine | None = None

    @property
    def address(self) -> str:
        """host:port that the apis are told to dial."""
        return self._state.address

    @property
    def worker_id(self) -> str:
        """The name of this worker."""
        return self._state.worker_id

    @property
    def ordered(self) -> bool:
        """Whether an operator has told it to leave, so that it is not to be started again."""
        return self._state.standing.ordered

    def told(self) -> str:
        """What it does, for `systemctl status`."""
        state, leases = self._state, self._state.leases
        running = len(leases.running) + len(leases.unclaimed)
        waiting = len(leases.unsettled) + len(leases.unpublished)
        apis = sum(session.live for session in state.sessions.values())
        doing = "worker draining" if state.draining else "worker"
        if state.standing.paused:
            doing = "worker paused"
        slots = sum(state.slots.totals.values())
        return f"{doing}: slots busy {running} of {slots}, unreported {waiting}, apis linked {apis}"

    def owed(self) -> Mapping[str, int]:
        """The turns that its links have taken, by endpoint; a worker that has left owes none."""
        return {} if self.stop.left.is_set() else self._state.turns

    @property
    def heartbeat_seconds(self) -> float:
        """The longest wait between two heartbeats that was agreed with an api."""
        agreed = [session.heartbeat_seconds for session in self._state.sessions.values()]
        return max(agreed, default=0.0)

    def reconfigure(self, config: Config, endpoints: Sequence[str]) -> None:
        """Act by a reloaded configuration."""
        if self._broker is not None:
            self._broker.renew_login(config.queue.url)
        self._state.reconfigure(_with_endpoints(config, endpoints))

    @classmethod
    async def start(
        cls,
        nursery: trio.Nursery,
        config: Config,
        clock: SystemClock,
        log: FilteringBoundLogger,
        catalogue: Catalogue,
        endpoints: Sequence[str],
        *,
        registry: CollectorRegistry | None = None,
        tracing: Tracing | None = None,
    ) -> RunningWorker:
        """Start the role in `nursery`; returns when the dispatch port serves."""
        config = _with_endpoints(config, endpoints)
        listeners = await open_listeners(config.worker.host, config.worker.port)
        worker_id = config.worker.id or f"{socket.gethostname()}-{secrets.token_hex(3)}"
        state = WorkerState(
            worker_id=worker_id,
            version=hermesd.__version__,
            config=config,
            clock=clock,
            catalogue=catalogue,
            metrics=WorkerMetrics(registry, process_collectors=config.metrics.process_collectors),
            log=log.bind(worker_id=worker_id),
            slots=SlotTable(totals_of(config.worker)),
            address=_advertised(config, listeners),
            tracing=tracing,
        )
        running = cls(state)
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
                self._broker = broker
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
            state.metrics.close()
            self.ended.set()


def _with_endpoints(config: Config, endpoints: Sequence[str]) -> Config:
    control = msgspec.structs.replace(config.control, endpoints=tuple(endpoints))
    return msgspec.structs.replace(config, control=control)


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
