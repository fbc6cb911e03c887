"""One life of one daemon: what is started and ended in which order, and what signals mean."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.bridge.loop import open_bridge
from hermesd.clock import SystemClock
from hermesd.config import Config
from hermesd.config.sections import ControlSection
from hermesd.core.errors import ConfigError, HermesError
from hermesd.handlers.catalogue import Catalogue
from hermesd.handlers.loader import load_plugins
from hermesd.http.errors import ListenFailed
from hermesd.observe.logs import configure_logging
from hermesd.systemd import Notifier, watchdog_interval_seconds

if TYPE_CHECKING:
    from hermesd.daemon.api import RunningApi
    from hermesd.daemon.worker import RunningWorker

GC_ALLOCATIONS: Final = 20_000  # between two looks at young objects; 700 are a few jobs
STOP_MARGIN_SECONDS: Final = 10.0
EX_OK: Final = 0
EX_UNAVAILABLE: Final = 69
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78

ENDING_SECONDS: Final = 0.5  # from a worker's last word to its end, where its handlers have ended


class Role(StrEnum):
    """What one daemon is."""

    API = "api"
    WORKER = "worker"
    BOTH = "both"

    @property
    def serves_api(self) -> bool:
        """Whether it accepts submits."""
        return self is not Role.WORKER

    @property
    def works(self) -> bool:
        """Whether it runs jobs."""
        return self is not Role.API


def run(
    config: Config,
    role: Role | str,
    *,
    extra: Sequence[object] = (),
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run a daemon until it is told to stop; the exit status by sysexits.h.

    `extra` are handlers (or modules with hooks) beside the installed plugins. 0: stopped as told;
    75: the worker recycles itself and wants to be started again; 78: the configuration or, under
    `plugins.strict`, a plugin is at fault; 69: a port or the store cannot be had. Handlers that do
    not end when they are told to are given back, and the whole process exits under them.
    """
    # From here on: what the role and the plugins import is most of a start, and no garbage.
    gc.set_threshold(GC_ALLOCATIONS, 20, 20)
    # Bound at once: an unbound logger is a proxy that makes itself anew at every line.
    log = configure_logging(config.log.level, config.log.format, sys.stderr).bind()
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
    daemon = Daemon(config, Role(role), catalogue, log, os.environ if environ is None else environ)
    try:
        return trio.run(daemon.run)
    except (HermesError, ListenFailed, BaseExceptionGroup) as error:
        return _give_up(log, error)


def _give_up(log: FilteringBoundLogger, error: BaseException) -> int:
    """Log what stopped the start, once a cause; a defect is raised on as it is."""
    causes = _leaves(error)
    if not all(isinstance(cause, (HermesError, ListenFailed)) for cause in causes):
        raise error
    for cause in causes:
        log.error("cannot go on", why=str(cause))
    config = any(isinstance(cause, ConfigError) for cause in causes)
    return EX_CONFIG if config else EX_UNAVAILABLE


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]


class Daemon:
    """One life of one daemon: the bridge outermost, then the store, the api, the worker."""

    def __init__(
        self,
        config: Config,
        role: Role,
        catalogue: Catalogue,
        log: FilteringBoundLogger,
        environ: Mapping[str, str],
    ):
        self._config = config
        self._role = role
        self._catalogue = catalogue
        self._log = log
        self._clock = SystemClock()
        self._notifier = Notifier(environ)
        self._watchdog_seconds = watchdog_interval_seconds(environ, os.getpid())
        self._stop = trio.Event()
        self._at_once = trio.Event()

    async def run(self) -> int:
        """Start, say that everything serves, run until told to stop, end in order."""
        async with open_bridge(), trio.open_nursery() as around:
            await around.start(self._obey_signals)
            if self._watchdog_seconds is not None:
                around.start_soon(self._feed_watchdog, self._watchdog_seconds)
            recycled = await self._run_roles()
            around.cancel_scope.cancel()
        return EX_TEMPFAIL if recycled else EX_OK

    async def _run_roles(self) -> bool:
        """True where the worker ended by itself, to be started again."""
        api = worker = None
        async with trio.open_nursery() as roles:
            endpoints = self._config.control.endpoints
            if self._role.serves_api:
                from hermesd.daemon.api import RunningApi  # a worker needs none of this

                api = await RunningApi.start(
                    roles, self._config, self._clock, self._log, self._catalogue, str(self._role)
                )
                endpoints = _with_others(api.endpoint, self._config)
            if self._role.works:
                from hermesd.daemon.worker import RunningWorker

                worker = await RunningWorker.start(
                    roles, self._config, self._clock, self._log, self._catalogue, endpoints
                )
            _settle_memory()
            self._say_ready(api, worker)
            await self._until_told(worker)
            self._notifier.stopping()
            drain = self._config.drain
            # A drain that is configured to be longer than the unit's own patience is not cut off.
            self._notifier.extend_timeout(
                drain.seconds + drain.report_seconds + STOP_MARGIN_SECONDS
            )
            if api is not None:
                api.stop_intake.set()
            if worker is not None:
                worker.stop.drain.set()
                roles.start_soon(self._hasten, worker)
                await worker.stop.left.wait()
            if api is not None:
                await api.stop()
            recycled = worker is not None and not self._stop.is_set()
            if worker is not None:
                with trio.move_on_after(ENDING_SECONDS):
                    await worker.ended.wait()
                if not worker.ended.is_set():
                    self._leave_behind(recycled)
            roles.cancel_scope.cancel()
        self._log.info("stopped")
        return recycled

    def _leave_behind(self, recycled: bool) -> NoReturn:
        """End under handlers that do not end, and that Python would wait for."""
        self._log.warning("stopped", why="handlers did not end and are left behind")
        sys.stderr.flush()
        os._exit(EX_TEMPFAIL if recycled else EX_OK)

    def _say_ready(self, api: RunningApi | None, worker: RunningWorker | None) -> None:
        places: dict[str, str] = {}
        if api is not None:
            places |= {"api": api.http_address, "control": api.endpoint}
        if worker is not None:
            places |= {"dispatch": worker.address, "worker_id": worker.worker_id}
        self._log.info("ready", role=str(self._role), pid=os.getpid(), **places)
        self._notifier.status(" ".join(f"{name}={place}" for name, place in places.items()))
        self._notifier.ready()

    async def _until_told(self, worker: RunningWorker | None) -> None:
        """Return at the first signal, or when the worker drains by itself."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, self._stop, nursery.cancel_scope)
            if worker is not None:
                nursery.start_soon(_cancel_after, worker.stop.left, nursery.cancel_scope)

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

    async def _feed_watchdog(self, seconds: float) -> None:
        """That this task is run in time is the self-check: the event loop turns."""
        while True:
            self._notifier.watchdog()
            await trio.sleep(seconds)


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
