"""Opens what the api role stands on: the store, the queue, the ports; and runs the role."""

from __future__ import annotations

import random
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import trio
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from hermesd.api.brokerside import BrokerSide
from hermesd.api.events import EventRing
from hermesd.api.role import ApiParts, run_api
from hermesd.api.state import ApiState
from hermesd.bridge.grpc_server import open_control_server
from hermesd.clock import SystemClock
from hermesd.config import Config
from hermesd.core.amqp_names import Names
from hermesd.core.endpoints import join_endpoint
from hermesd.core.states import State
from hermesd.daemon.broker import messages_of, open_broker
from hermesd.daemon.bus import open_bus
from hermesd.daemon.certificate import Certificate
from hermesd.daemon.naming import hold_name
from hermesd.daemon.sockets import ApiSockets
from hermesd.daemon.store import line_of, open_store
from hermesd.handlers.catalogue import Catalogue
from hermesd.http.server import Listener, adopt_listeners, open_listeners
from hermesd.http.tls import TlsListener
from hermesd.observe.metrics import ApiMetrics, CommitStats
from hermesd.observe.tracing import Tracing
from hermesd.ports import Broker, Bus, JobQueue
from hermesd.queues.embedded import EmbeddedQueue
from hermesd.stores.store import Store

if TYPE_CHECKING:
    from hermesd.bridge.amqp_line import BrokerLine
    from hermesd.stores.postgres.connection import Line


class RunningApi:
    """An api that serves; `endpoint` and `http_address` are host:port, as bound."""

    def __init__(
        self,
        http_address: str,
        metrics: ApiMetrics,
        certificate: Certificate,
        tracing: Tracing | None,
    ):
        self.http_address = http_address
        self._tracing = tracing
        self._metrics = metrics
        self._certificate = certificate
        self.endpoint = ""
        self.stop_intake = trio.Event()
        self._stop_services = trio.Event()
        self._ended = trio.Event()
        self._state: ApiState | None = None  # while it runs
        self._store: Store | None = None
        self._line: Line | None = None
        self._broker: BrokerLine | None = None

    @classmethod
    async def start(
        cls,
        nursery: trio.Nursery,
        config: Config,
        clock: SystemClock,
        log: FilteringBoundLogger,
        catalogue: Catalogue,
        role: str,
        sockets: ApiSockets,
        *,
        registry: CollectorRegistry | None = None,
        tracing: Tracing | None = None,
    ) -> RunningApi:
        """Start the role in `nursery`; returns when it serves. `sockets` are its own from here."""
        certificate = Certificate(config.api, log)
        listeners = await _listen(config, sockets.http, certificate.context)
        certificate.listeners = listeners
        running = cls(
            address_of(config.api.host, listeners, passed=bool(sockets.http)),
            ApiMetrics(registry, process_collectors=config.metrics.process_collectors),
            certificate,
            tracing,
        )
        run = partial(running._run, config, clock, log, catalogue, role, listeners, sockets.control)
        passed = sockets.control
        host = config.control.host if passed is None else passed.getsockname()[0]
        port: int = await nursery.start(run)
        running.endpoint = join_endpoint(_dialable(host), port)
        return running

    def told(self) -> str:
        """What it does, for `systemctl status`."""
        if self._state is None:
            return "api starting"
        tally = self._state.tally
        doing = "api draining" if self.stop_intake.is_set() else "api"
        running = tally.states[State.RUNNING]
        return f"{doing}: jobs in flight {running}, waiting {tally.waiting_total}"

    def owed(self) -> Mapping[str, int]:
        """Whether the store owes an answer to anyone, with the turns that it has taken."""
        owed = None if self._store is None else self._store.owed()
        return {} if owed is None else {"commit": owed}

    def prepare(self, config: Config) -> Callable[[], None]:
        """How to act by a reloaded configuration; raises ConfigError for a useless certificate."""
        return partial(self._take_over, config, self._certificate.prepare(config.api))

    def _take_over(self, config: Config, renew: Callable[[], None]) -> None:
        renew()
        if self._line is not None:
            self._line.url = config.store.url
        if self._broker is not None:
            self._broker.renew_login(config.queue.url)
        if self._state is not None:
            self._state.reconfigure(config)

    async def stop(self) -> None:
        """End the services after the intake; returns when the store is closed."""
        self._stop_services.set()
        await self._ended.wait()

    def _url(self, config: Config) -> str:
        """Where people of other machines find it, as far as it knows."""
        host, _, port = self.http_address.rpartition(":")
        named = socket.getfqdn() if host.strip("[]") in ("0.0.0.0", "::") else host
        return f"{'https' if config.api.tls_cert_file else 'http'}://{named}:{port}"

    async def _run(
        self,
        config: Config,
        clock: SystemClock,
        log: FilteringBoundLogger,
        catalogue: Catalogue,
        role: str,
        listeners: list[Listener],
        control: socket.socket | None,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        name, boot = config.api.name or socket.gethostname(), secrets.token_hex(8)
        self._line = line_of(config.store)
        try:
            async with (
                open_store(config.store, self._line, clock, log) as store,
                hold_name(self._line, name, log),
                open_broker(config.queue, log) as broker,
                open_bus(self._line, name, boot, log) as bus,
            ):
                self._broker = broker
                state, side = await _state(
                    config,
                    clock,
                    log,
                    store,
                    broker,
                    bus,
                    name,
                    boot,
                    self._url(config),
                    self._metrics,
                )
                state.tracing = self._tracing
                self._state, self._store = state, store
                parts = ApiParts(
                    types=store.types,
                    schedules=store.schedules,
                    points=store.points,
                    installed=catalogue.types(),
                    open_control=partial(
                        open_control_server,
                        host=config.control.host,
                        port=config.control.port,
                        max_message_bytes=config.control.max_message_bytes,
                        log=log,
                        listening=control,
                    ),
                    listeners=listeners,
                    store_check=store.check,
                    commits=partial(_commits, store),
                    role=role,
                    broker=side,
                )
                await run_api(
                    state,
                    parts,
                    stop_intake=self.stop_intake,
                    stop_services=self._stop_services,
                    task_status=task_status,
                )
        finally:
            self._store = None
            for listener in listeners:
                await listener.aclose()
            self._metrics.close()
            self._ended.set()


def _commits(store: Store) -> CommitStats:
    stats = store.stats()
    return CommitStats(
        commits=stats.commits,
        changes=stats.items,
        repeats=stats.repeats,
        failures=stats.failed_groups,
        pending=store.pending(),
        serving=not stats.failing,
        seconds=stats.seconds,
        sizes=stats.sizes,
    )


async def _state(
    config: Config,
    clock: SystemClock,
    log: FilteringBoundLogger,
    store: Store,
    broker: Broker | None,
    bus: Bus,
    name: str,
    boot: str,
    url: str,
    metrics: ApiMetrics,
) -> tuple[ApiState, BrokerSide | None]:
    store_id = await store.fleet.store_id()
    queue, side = _queue(config, store, store_id, broker, metrics)
    state = ApiState(
        name=name,
        boot=boot,
        url=url,
        store_id=store_id,
        config=config,
        clock=clock,
        chance=random.random,
        jobs=store.jobs,
        reader=store.reader,
        fleet=store.fleet,
        outbox=store.outbox,
        apis=store.apis,
        notes=store.notes,
        queues=store.queues,
        queue=queue,
        ring=EventRing(config.events.ring, clock, config.events.max_streams),
        metrics=metrics,
        log=log,
        broker=broker,
        bus=bus,
    )
    return state, side


def _queue(
    config: Config, store: Store, store_id: str, broker: Broker | None, metrics: ApiMetrics
) -> tuple[JobQueue, BrokerSide | None]:
    if broker is None:
        return EmbeddedQueue(store.jobs), None
    # Here, since an api without a broker needs none of it.
    from hermesd.queues.amqp import AmqpQueue
    from hermesd.queues.messages import stamp_of
    from hermesd.queues.topology import topology_of

    messages = messages_of(config.queue)
    names = Names.of(config.queue.namespace, config.queue.names)
    queue = AmqpQueue(store.jobs, broker, messages, store_id, metrics.published)
    side = BrokerSide(
        broker=broker,
        names=names,
        topology=partial(topology_of, names),
        messages=messages,
        stamp_of=stamp_of,
        fault=queue.reason,
        declared=queue.declared,
        misrouted=queue.misrouted,
    )
    return queue, side


async def _listen(
    config: Config, passed: Sequence[socket.socket], context: ssl.SSLContext | None
) -> list[Listener]:
    if passed:
        return adopt_listeners(passed, ssl_context=context)
    return await open_listeners(config.api.host, config.api.port, ssl_context=context)


def address_of(host: str, listeners: list[Listener], *, passed: bool = False) -> str:
    """host:port of the first listener, whatever port was asked for; `passed`: whatever host too."""
    first = listeners[0]
    plain = first.transport_listener if isinstance(first, TlsListener) else first
    bound = plain.socket.getsockname()
    return join_endpoint(bound[0] if passed else host, bound[1])


def _dialable(host: str) -> str:
    """Where a program on this machine reaches a port bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
