"""Opens what the api role stands on: the store, the queue, the ports; and runs the role."""

from __future__ import annotations

import random
import secrets
import socket
import ssl
from functools import partial
from pathlib import Path

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
from hermesd.core.errors import ConfigError
from hermesd.daemon.broker import messages_of, open_broker
from hermesd.handlers.catalogue import Catalogue
from hermesd.http.server import Listener, open_listeners
from hermesd.observe.metrics import ApiMetrics, CommitStats
from hermesd.ports import Broker, JobQueue
from hermesd.queues.embedded import EmbeddedQueue
from hermesd.stores.sqlite import SqliteStore, open_sqlite

SQLITE = "sqlite:///"


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
        running.endpoint = join_host_port(_dialable(config.control.host), port)
        return running

    async def stop(self) -> None:
        """End the services after the intake; returns when the store is closed."""
        self._stop_services.set()
        await self._ended.wait()

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
        try:
            async with (
                open_sqlite(
                    sqlite_path(config.store.url),
                    clock=clock,
                    max_group=config.store.max_group,
                    max_pending=config.store.max_pending,
                    busy_timeout_seconds=config.store.busy_timeout_seconds,
                    log=log,
                    migrate=config.store.migrate,
                ) as store,
                open_broker(config.queue, log) as broker,
            ):
                state, side = await _state(config, clock, log, store, broker)
                parts = ApiParts(
                    types=store.types,
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


def _commits(store: SqliteStore) -> CommitStats:
    stats = store.stats()
    return stats.commits, stats.items, stats.last_commit_seconds


async def _state(
    config: Config,
    clock: SystemClock,
    log: FilteringBoundLogger,
    store: SqliteStore,
    broker: Broker | None,
) -> tuple[ApiState, BrokerSide | None]:
    metrics = ApiMetrics(process_collectors=config.metrics.process_collectors)
    store_id = await store.fleet.store_id()
    queue, side = _queue(config, store, store_id, broker, metrics)
    state = ApiState(
        name=config.api.name or socket.gethostname(),
        boot=secrets.token_hex(8),
        store_id=store_id,
        config=config,
        clock=clock,
        chance=random.random,
        jobs=store.jobs,
        reader=store.reader,
        fleet=store.fleet,
        outbox=store.outbox,
        queue=queue,
        ring=EventRing(config.events.ring, clock, config.events.max_streams),
        metrics=metrics,
        log=log,
        broker=broker,
    )
    return state, side


def _queue(
    config: Config, store: SqliteStore, store_id: str, broker: Broker | None, metrics: ApiMetrics
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


def sqlite_path(url: str) -> Path:
    """The file of a store URL `sqlite:///relative` or `sqlite:////absolute`."""
    if not url.startswith(SQLITE) or len(url) == len(SQLITE):
        raise ConfigError([f"store.url: {url!r} is not sqlite:///FILE"])
    return Path(url.removeprefix(SQLITE))


def address_of(host: str, listeners: list[Listener]) -> str:
    """host:port of the first listener, whatever port was asked for."""
    first = listeners[0]
    plain = first.transport_listener if isinstance(first, trio.SSLListener) else first
    assert isinstance(plain, trio.SocketListener)  # open_listeners gives no other
    return join_host_port(host, plain.socket.getsockname()[1])


def join_host_port(host: str, port: int) -> str:
    """host:port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _dialable(host: str) -> str:
    """Where a program on this machine reaches a port bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
