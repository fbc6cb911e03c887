"""One life of one daemon: what is started and ended in which order, and what signals mean."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from structlog.typing import FilteringBoundLogger

import hermesd
from hermesd.bridge.loop import open_bridge
from hermesd.clock import SystemClock
from hermesd.config import Config
from hermesd.config.sections import ControlSection
from hermesd.core.errors import HermesError
from hermesd.daemon.endings import EX_CONFIG, EX_OK, EX_TEMPFAIL, give_up
from hermesd.daemon.patience import ask_for_time
from hermesd.daemon.reload import Part, Reloader
from hermesd.daemon.role import Role
from hermesd.daemon.selfcheck import SelfCheck, WatchdogFeeder, duties_of
from hermesd.daemon.sockets import ApiSockets, take_api_sockets
from hermesd.daemon.status import StatusLine
from hermesd.handlers.catalogue import Catalogue
from hermesd.handlers.loader import load_plugins
from hermesd.http.errors import ListenFailed
from hermesd.observe.logs import configure_logging
from hermesd.observe.tracing import Tracing, open_tracing
from hermesd.systemd import Notifier, watchdog_interval_seconds

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from hermesd.daemon.api import RunningApi
    from hermesd.daemon.worker import RunningWorker

GC_ALLOCATIONS: Final = 20_000  # between two looks at young objects; 700 are a few jobs
STOP_MARGIN_SECONDS: Final = 10.0
START_SECONDS: Final = 600.0  # a large store's tables may have to be brought up to date
ENDING_SECONDS: Final = 0.5  # from a worker's last word to its end, where its handlers have ended


def run(
    config: Config,
    role: Role | str,
    *,
    extra: Sequence[object] = (),
    environ: Mapping[str, str] | None = None,
    registry: CollectorRegistry | None = None,
    read: Callable[[], Config] | None = None,
) -> int:
    """Run a daemon until it is told to stop; the exit status by sysexits.h.

    `extra` are handlers (or modules with hooks) beside the installed plugins; `registry` is one of
    the program's own, which has the metrics of all roles until this returns; `read` gives the
    configuration anew at every SIGHUP, and raises ConfigError. 0: stopped as told;
    75: the worker recycles itself and wants to be started again; 78: the configuration or, under
    `plugins.strict`, a plugin is at fault; 69: a port or the store cannot be had. Handlers that do
    not end when they are told to are given back, and the whole process exits under them.
    """
    # From here on: what the role and the plugins import is most of a start, and no garbage.
    gc.set_threshold(GC_ALLOCATIONS, 20, 20)
    surroundings = os.environ if environ is None else dict(environ)
    # Bound at once: an unbound logger is a proxy that makes itself anew at every line.
    log = configure_logging(config.log.level, config.log.format, sys.stderr, surroundings).bind()
    plugins = config.plugins
    catalogue = load_plugins(
        enabled=plugins.enabled or None,
        disabled=plugins.disabled,
        extra=extra,
        settings=plugins.settings,
    )
    for problem in catalogue.problems:
        log.error("plugin quarantined", why=problem)
    if catalogue.problems and plugins.strict:
        return EX_CONFIG
    if Role(role).works and config.worker.require_handlers and not catalogue.handlers:
        log.error("no handlers: install a plugin, or set worker.require_handlers = false")
        return EX_CONFIG
    tracing = None
    try:
        tracing = open_tracing(config.tracing, surroundings, hermesd.__version__)
        daemon = Daemon(config, Role(role), catalogue, log, surroundings, registry, read, tracing)
        return trio.run(daemon.run)
    except (HermesError, ListenFailed, BaseExceptionGroup) as error:
        return give_up(log, error)
    finally:
        if tracing is not None:
            tracing.close()


class Daemon:
    """One life of one daemon: the bridge outermost, then the store, the api, the worker."""

    def __init__(
        self,
        config: Config,
        role: Role,
        catalogue: Catalogue,
        log: FilteringBoundLogger,
        environ: MutableMapping[str, str],
        registry: CollectorRegistry | None = None,
        read: Callable[[], Config] | None = None,
        tracing: Tracing | None = None,
    ):
        self._environ = environ
        self._tracing = tracing
        self._registry = registry
        self._config = config
        self._role = role
        self._catalogue = catalogue
        self._log = log
        self._clock = SystemClock()
        self._notifier = Notifier(environ)
        self._watchdog_seconds = watchdog_interval_seconds(environ, os.getpid())
        self._stop = trio.Event()
        self._at_once = trio.Event()
        self._status = StatusLine(self._notifier)
        self._reloader = Reloader(config, read, self._notifier, self._status, log, self._stop.set)
        self._api: RunningApi | None = None
        self._worker: RunningWorker | None = None

    async def run(self) -> int:
        """Start, say that everything serves, run until told to stop, end in order."""
        # Before anything else, since it takes them out of what children would inherit.
        sockets = take_api_sockets(
            self._environ, self._config, serves_api=self._role.serves_api, log=self._log
        )
        async with open_bridge(), trio.open_nursery() as around:
            await around.start(self._obey_signals)
            await around.start(self._reloader.run)
            recycled = await self._run_roles(sockets, around)
            around.cancel_scope.cancel()
        return EX_TEMPFAIL if recycled else EX_OK

    async def _run_roles(self, sockets: ApiSockets, around: trio.Nursery) -> bool:
        """True where the worker ended by itself, to be started again."""
        async with trio.open_nursery() as roles:
            async with trio.open_nursery() as waiting:
                waiting.start_soon(ask_for_time, self._notifier, START_SECONDS)
                await self._start(roles, sockets)
                waiting.cancel_scope.cancel()
            _settle_memory()
            self._say_ready()
            around.start_soon(self._status.run)
            if (seconds := self._watchdog_seconds) is not None:
                check = SelfCheck(duties_of(self._config, self._api, self._worker))
                feeder = WatchdogFeeder(check, self._notifier, self._status, self._log)
                around.start_soon(feeder.run, seconds)
            self._reloader.serve(*self._parts())
            await self._until_told()
            self._reloader.end()
            self._notifier.stopping()
            # A drain that is configured to be longer than the unit's own patience is not cut off.
            around.start_soon(ask_for_time, self._notifier, self._stop_seconds())
            recycled = await self._end(roles)
            roles.cancel_scope.cancel()
        self._log.info("stopped")
        return recycled

    async def _start(self, roles: trio.Nursery, sockets: ApiSockets) -> None:
        """Start the role or roles in the nursery; returns when all of it serves."""
        config, catalogue = self._config, self._catalogue
        endpoints = config.control.endpoints
        if self._role.serves_api:
            from hermesd.daemon.api import RunningApi  # a worker needs none of this

            self._api = await RunningApi.start(
                roles,
                config,
                self._clock,
                self._log,
                catalogue,
                str(self._role),
                sockets,
                registry=self._registry,
                tracing=self._tracing,
            )
            endpoints = _with_others(self._api.endpoint, config)
        if self._role.works:
            from hermesd.daemon.watchdog import LoopWatchdog
            from hermesd.daemon.worker import RunningWorker

            roles.start_soon(LoopWatchdog(config.liveness.ttl_seconds, self._log).run)
            self._worker = await RunningWorker.start(
                roles,
                config,
                self._clock,
                self._log,
                catalogue,
                endpoints,
                registry=self._registry,
                tracing=self._tracing,
            )

    def _parts(self) -> list[Part]:
        """What follows a reloaded configuration."""
        parts: list[Part] = []
        if self._api is not None:
            parts.append(self._api.prepare)
        if self._worker is not None:
            parts.append(partial(self._prepare, self._worker))
        return parts

    def _prepare(self, worker: RunningWorker, config: Config) -> Callable[[], None]:
        return partial(worker.reconfigure, config, self._endpoints(config))

    def _endpoints(self, config: Config) -> tuple[str, ...]:
        """The apis that a worker of this daemon has to register with."""
        if self._api is None:
            return config.control.endpoints
        return _with_others(self._api.endpoint, config)

    async def _end(self, roles: trio.Nursery) -> bool:
        """Drain and end in order; True where the worker began with it."""
        api, worker = self._api, self._worker
        if api is not None:
            api.stop_intake.set()
        if worker is not None:
            worker.stop.drain.set()
            roles.start_soon(self._hasten, worker)
            await worker.stop.left.wait()
        if api is not None:
            await api.stop()
        recycled = worker is not None and not (self._stop.is_set() or worker.ordered)
        if worker is not None:
            with trio.move_on_after(ENDING_SECONDS):
                await worker.ended.wait()
            if not worker.ended.is_set():
                self._leave_behind(recycled)
        return recycled

    def _stop_seconds(self) -> float:
        """What a drain takes at most: the jobs, then the outcomes of a worker and of an api."""
        drain = self._reloader.config.drain
        return drain.seconds + 3 * drain.report_seconds + STOP_MARGIN_SECONDS

    def _leave_behind(self, recycled: bool) -> NoReturn:
        """End under handlers that do not end, and that Python would wait for."""
        self._log.warning("stopped", why="handlers did not end and are left behind")
        sys.stderr.flush()
        os._exit(EX_TEMPFAIL if recycled else EX_OK)

    def _say_ready(self) -> None:
        places: dict[str, str] = {}
        parts: list[Callable[[], str]] = []
        if (api := self._api) is not None:
            places |= {"api": api.http_address, "control": api.endpoint}
            parts.append(api.told)
        if (worker := self._worker) is not None:
            places |= {"dispatch": worker.address, "worker_id": worker.worker_id}
            parts.append(worker.told)
        self._log.info("ready", role=str(self._role), pid=os.getpid(), **places)
        self._status.parts = parts
        self._status.run_once()
        self._notifier.ready()

    async def _until_told(self) -> None:
        """Return at the first signal, or when the worker drains by itself.

        An operator's order to drain ends the worker alone where an api is in the same process:
        nobody who empties a worker means that submits be refused.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, self._stop, nursery.cancel_scope)
            if (worker := self._worker) is not None:
                await worker.stop.left.wait()
                if self._api is None or not worker.ordered:
                    nursery.cancel_scope.cancel()
                else:
                    self._log.warning("worker left, the api goes on", why="it was told to drain")

    async def _hasten(self, worker: RunningWorker) -> None:
        await self._at_once.wait()
        worker.stop.at_once.set()

    async def _obey_signals(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """The first SIGTERM or SIGINT drains, a second one gives jobs back at once."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                again = self._stop.is_set()
                name = signal.Signals(number).name
                self._log.info("signal", signal=name, meaning="at once" if again else "drain")
                (self._at_once if again else self._stop).set()


def _with_others(own: str, config: Config) -> tuple[str, ...]:
    """The api of this very daemon, and the others that are configured, if any are."""
    others = config.control.endpoints
    return (own,) if others == ControlSection().endpoints else tuple(dict.fromkeys((own, *others)))


def _settle_memory() -> None:
    """Let the garbage collector look at what jobs leave behind only, not at what was imported."""
    gc.collect()
    gc.freeze()


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
