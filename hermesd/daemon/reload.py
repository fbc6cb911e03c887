"""Reads the configuration again at SIGHUP, and has the running daemon act by it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.clock import SystemClock
from hermesd.config import Config, LogLevel
from hermesd.config.reload import Reload, compare
from hermesd.core.errors import ConfigError
from hermesd.daemon.status import StatusLine
from hermesd.observe.logs import set_level
from hermesd.systemd import Notifier

READ_SECONDS: Final = 30.0  # for files that a network has
_STDERR: Final = 2

# What one role needs to act by a configuration: it is looked at in a thread, which raises
# ConfigError and changes nothing; the answer takes it over, and cannot fail.
Part = Callable[[Config], Callable[[], None]]


class Reloader:
    """The agent that obeys SIGHUP; `config` is what the daemon acts by.

    `read` reads files and environment again, and raises ConfigError; None where a program has
    handed in a configuration. A refused one leaves everything as it was. `hang_up` is called where
    the signal means that the terminal is gone.
    """

    def __init__(
        self,
        config: Config,
        read: Callable[[], Config] | None,
        notifier: Notifier,
        status: StatusLine,
        log: FilteringBoundLogger,
        hang_up: Callable[[], None],
    ):
        self.config = config
        self._read = read
        self._notifier = notifier
        self._status = status
        self._log = log
        self._hang_up = hang_up
        self._parts: tuple[Part, ...] = ()
        self._serving = trio.Event()
        self._ending = False

    def serve(self, *parts: Part) -> None:
        """The roles serve: these follow from here on, also a signal that came before."""
        self._parts = parts
        self._serving.set()

    def end(self) -> None:
        """The daemon drains, by the configuration that it has."""
        self._ending = True

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Reload at every signal, one after the other; those that come meanwhile are one."""
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            task_status.started()
            terminal = os.isatty(_STDERR)
            async for _ in signals:
                if terminal and not os.isatty(_STDERR):
                    self._hang_up()  # as for any program, the terminal that it ran in is closed
                    continue
                self._log.info("signal", signal=signal.SIGHUP.name, meaning="reload")
                await self._serving.wait()
                await self._obey()

    async def _obey(self) -> None:
        if self._read is None:
            self._log.info("nothing to reload", why="the configuration was given by a program")
        elif self._ending:
            self._log.warning("reload ignored", why="the daemon drains")
        else:
            self._notifier.reloading(SystemClock().since_boot())
            remark = await self._reload(self._read)
            if not self._ending:
                self._status.remark = remark
                self._status.run_once()
                self._notifier.ready()

    async def _reload(self, read: Callable[[], Config]) -> str:
        """What `systemctl status` is to say of it, empty where all is as configured."""
        try:
            with trio.fail_after(READ_SECONDS):
                found, take_over = await trio.to_thread.run_sync(
                    partial(self._look, read), abandon_on_cancel=True
                )
        except ConfigError as error:
            return self._refuse(error.problems)
        except trio.TooSlowError:
            return self._refuse((f"it could not be read within {READ_SECONDS:g} s",))
        except Exception:
            self._log.exception("cannot reload")
            return "the last reload failed: see the log"
        if self._ending:
            self._log.warning("reload ignored", why="the daemon drains")
            return ""
        for take in take_over:
            take()
        levels = (self.config.log.level, found.config.log.level)
        set_level(self._log, min(levels, key=list(LogLevel).index))  # either would have told
        self._log.info("configuration reloaded", changed=found.changed)
        set_level(self._log, found.config.log.level)
        self.config = found.config
        if not found.restart:
            return ""
        self._log.warning("restart needed", keys=found.restart)
        return f"restart needed for {', '.join(found.restart)}"

    def _look(self, read: Callable[[], Config]) -> tuple[Reload, list[Callable[[], None]]]:
        found = compare(self.config, read())
        return found, [part(found.config) for part in self._parts]

    def _refuse(self, problems: tuple[str, ...]) -> str:
        self._log.error("configuration refused, the old one stays", problems=problems)
        return f"configuration refused: {'; '.join(problems)}"
