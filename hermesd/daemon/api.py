"""Opens what the api role stands on: the store, the queue, the ports; and runs the role."""

from __future__ import annotations

import random
import secrets
import socket
import ssl
from functools import partial

import trio
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
from hermesd.core.errors import ConfigError
from hermesd.daemon.broker import messages_of, open_broker
from hermesd.daemon.bus import open_bus
from hermesd.daemon.naming import hold_name
from hermesd.daemon.store import open_store
from hermesd.handlers.catalogue import Catalogue
from hermesd.http.server import Listener, open_listeners
from hermesd.observe.metrics import ApiMetrics, CommitStats
from hermesd.ports import Broker, Bus, JobQueue
from hermesd.queues.embedded import EmbeddedQueue
from hermesd.stores.store import Store


class RunningApi:
    """An api that serves; `endpoint` and `http_address` are host:port, as bound."""

    def __init__(self, config: Config, http_address: str):
        self.http_address = http_address
        self.endpoint = ""
        self.stop_intake = trio.Event()
        self._stop_services = trio.Event()
        self._ended = trio.Event()
        self._host = config.control.host

    @classmethod
    async def start(
        cls,
        nursery: trio.Nursery,
        config: Config,
        clock: SystemClock,
        log: FilteringBoundLogger,
        catalogue: Catalogue,
        role: str,
    ) -> RunningApi:
        """Start the role in `nursery`; returns when it serves."""
        listeners = await _listen(config)
        running = cls(config, address_of(config.api.host, listeners))
        run = partial(running._run, config, clock, log, catalogue, role, listeners)
        port: int = await nursery.start(run)
        running.endpoint = join_endpoint(_dialable(config.control.host), port)
        return running

    async def stop(self) -> None:
        """End the services after the intake; returns when the store is closed."""
        self._stop_services.set()
        await self._ended.wait()

    def _url(self, config: Config) -> str:
        """Where people of other machines find it, as far as it knows."""
        host, _, port = self.http_address.rpartition(":")
        named = socket.getfqdn() if config.api.host in ("0.0.0.0", "::") else host
        return f"{'https' if config.api.tls_cert_file else 'http'}://{named}:{port}"

    async def _run(
        self,
        config: Config,
        clock: SystemClock,
        log: FilteringBoundLogger,
        catalogue: Catalogue,
        role: str,
        listeners: list[Listener],
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        name, boot = config.api.name or socket.gethostname(), secrets.token_hex(8)
        try:
            async with (
                open_store(config.store, clock, log) as store,
                hold_name(config.store, name, log),
                open_broker(config.queue, log) as broker,
                open_bus(config.store, name, boot, log) as bus,
            ):
                state, side = await _state(
                    config, clock, log, store, broker, bus, name, boot, self._url(config)
                )
                parts = ApiParts(
                    types=store.types,
                    schedules=store.schedules,
                    installed=catalogue.types(),
                    open_control=partial(
                        open_control_server,
                        host=config.control.host,
                        port=config.control.port,
                        max_message_bytes=config.control.max_message_bytes,
                        log=log,
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
            for listener in listeners:
                await listener.aclose()
            self._ended.set()


def _commits(store: Store) -> CommitStats:
    stats = store.stats()
    return CommitStats(stats.commits, stats.items, stats.last_commit_seconds, stats.repeats)


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
) -> tuple[ApiState, BrokerSide | None]:
    metrics = ApiMetrics(process_collectors=config.metrics.process_collectors)
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
        topology=topology_of(names, config.queues),
        messages=messages,
        stamp_of=stamp_of,
        fault=queue.reason,
        declared=queue.declared,
        misrouted=queue.misrouted,
    )
    return queue, side


async def _listen(config: Config) -> list[Listener]:
    context = None
    if config.api.tls_cert_file:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(config.api.tls_cert_file, config.api.tls_key_file or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"api.tls_cert_file, api.tls_key_file: {error}"]) from error
    return await open_listeners(config.api.host, config.api.port, ssl_context=context)


def address_of(host: str, listeners: list[Listener]) -> str:
    """host:port of the first listener, whatever port was asked for."""
    first = listeners[0]
    plain = first.transport_listener if isinstance(first, trio.SSLListener) else first
    assert isinstance(plain, trio.SocketListener)  # open_listeners gives no other
    return join_endpoint(host, plain.socket.getsockname()[1])


def _dialable(host: str) -> str:
    """Where a program on this machine reaches a port bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
