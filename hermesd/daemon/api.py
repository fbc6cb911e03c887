"""Opens what the api role stands on: the store, the queue, the ports; and runs the role."""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import trio
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from hermesd.api.role import run_api
from hermesd.api.state import ApiState
from hermesd.clock import SystemClock
from hermesd.config import Config
from hermesd.core.endpoints import join_endpoint
from hermesd.core.states import State
from hermesd.daemon.api_parts import Given, parts_of, state_of
from hermesd.daemon.broker import open_broker
from hermesd.daemon.bus import open_bus
from hermesd.daemon.certificate import Certificate
from hermesd.daemon.naming import hold_name
from hermesd.daemon.sockets import ApiSockets
from hermesd.daemon.store import line_of, open_store
from hermesd.handlers.catalogue import Catalogue
from hermesd.http.server import Listener, adopt_listeners, open_listeners
from hermesd.http.tls import TlsListener
from hermesd.observe.metrics import ApiMetrics
from hermesd.observe.tracing import Tracing
from hermesd.stores.store import Store

if TYPE_CHECKING:
    from hermesd.bridge.amqp_line import BrokerLine
    from hermesd.stores.postgres.connection import Line


class RunningApi:
    """An api that serves; `endpoint` and `http_address` are host:port, as bound."""

    def __init__(self, given: Given, http_address: str, certificate: Certificate):
        self.http_address = http_address
        self._given = given
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
        address = address_of(config.api.host, listeners, passed=bool(sockets.http))
        given = Given(
            name=config.api.name or socket.gethostname(),
            boot=secrets.token_hex(8),
            url=_url(config, address),
            role=role,
            config=config,
            clock=clock,
            log=log,
            installed=catalogue.types(),
            listeners=listeners,
            control=sockets.control,
            metrics=ApiMetrics(registry, process_collectors=config.metrics.process_collectors),
            tracing=tracing,
        )
        running = cls(given, address, certificate)
        passed = sockets.control
        host = config.control.host if passed is None else passed.getsockname()[0]
        port: int = await nursery.start(running._run)
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

    async def _run(self, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        given = self._given
        config, log = given.config, given.log
        self._line = line_of(config.store)
        try:
            async with (
                open_store(config.store, self._line, given.clock, log) as store,
                hold_name(self._line, given.name, log),
                open_broker(config.queue, log) as broker,
                open_bus(self._line, given.name, given.boot, log) as bus,
            ):
                self._broker = broker
                state, side = await state_of(given, store, broker, bus)
                self._state, self._store = state, store
                await run_api(
                    state,
                    parts_of(given, store, side),
                    stop_intake=self.stop_intake,
                    stop_services=self._stop_services,
                    task_status=task_status,
                )
        finally:
            self._store = None
            for listener in given.listeners:
                await listener.aclose()
            given.metrics.close()
            self._ended.set()


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


def _url(config: Config, http_address: str) -> str:
    """Where people of other machines find it, as far as it knows."""
    host, _, port = http_address.rpartition(":")
    named = socket.getfqdn() if host.strip("[]") in ("0.0.0.0", "::") else host
    return f"{'https' if config.api.tls_cert_file else 'http'}://{named}:{port}"


def _dialable(host: str) -> str:
    """Where a program on this machine reaches a port bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
