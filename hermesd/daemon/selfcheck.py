"""What must be true before the daemon tells systemd's watchdog that it is well.

A store or a broker that is away is no reason to be killed: whoever waits for it still takes its
turns. What stands still although something waits for it, though nothing but this process could be
at fault, is one.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.bridge.loop import bridge_turned
from hermesd.config import Config
from hermesd.daemon.status import StatusLine
from hermesd.systemd import Notifier

if TYPE_CHECKING:
    from hermesd.daemon.api import RunningApi
    from hermesd.daemon.worker import RunningWorker

SLACK_SECONDS: Final = 60.0
ROUNDS: Final = 4  # so often a bounded wait may be repeated in one turn
STANDBY_SECONDS: Final = 30.0  # of a link whose api another link serves
PULSES: Final = 4  # between two looks
STDERR: Final = 2

# Who owes a turn now, by name, with a number that changes with every turn.
Owed = Callable[[], Mapping[str, int]]


@dataclass(frozen=True)
class Duty:
    """Turns that are to be taken at least so often, in seconds, as far as they are owed."""

    owed: Owed
    limit: Callable[[], float]


class SelfCheck:
    """Looks whether all turns are taken; only time in which it could look counts."""

    def __init__(self, duties: Mapping[str, Duty]):
        self._duties = dict(duties)
        self._seen: dict[tuple[str, str], int] = {}
        self._still: dict[tuple[str, str], float] = {}

    def add(self, name: str, duty: Duty) -> None:
        """Look at this one too."""
        self._duties[name] = duty

    def overdue(self, passed_seconds: float) -> list[str]:
        """What has stood still for longer than it may; `passed_seconds` since the last look."""
        seen, still, found = {}, {}, []
        for name, duty in self._duties.items():
            for who, turns in duty.owed().items():
                key = (name, who)
                seen[key] = turns
                stands = self._seen.get(key) == turns
                still[key] = self._still.get(key, 0.0) + passed_seconds if stands else 0.0
                if still[key] > duty.limit():
                    found.append(f"{name} {who} stands still for {still[key]:g} s")
        self._seen, self._still = seen, still
        return found


class BridgePulse:
    """Turns of the asyncio loop, over which apis and workers, and the broker, are spoken to."""

    def __init__(self) -> None:
        self._turns = 0

    async def run(self, every_seconds: float) -> None:
        """Take a turn now and then, for ever; must be called inside `open_bridge()`."""
        while True:
            await bridge_turned()
            self._turns += 1
            await trio.sleep(every_seconds)

    def owed(self) -> Mapping[str, int]:
        """Always one."""
        return {"loop": self._turns}


class WatchdogFeeder:
    """The agent that says that all is well, for as long as it is.

    Where it is not, systemd ends the daemon by SIGABRT and starts it anew; the log then has what
    failed, and where every thread stood.
    """

    def __init__(
        self, check: SelfCheck, notifier: Notifier, status: StatusLine, log: FilteringBoundLogger
    ):
        self._check = check
        self._notifier = notifier
        self._status = status
        self._log = log

    async def run(self, seconds: float) -> None:
        """Look every `seconds`, half of what systemd waits, for ever."""
        if not faulthandler.is_enabled():
            faulthandler.enable(STDERR)
        async with trio.open_nursery() as nursery:
            pulse = BridgePulse()
            nursery.start_soon(pulse.run, seconds / PULSES)
            self._check.add("bridge", Duty(pulse.owed, lambda: seconds))
            passed = 0.0
            while True:
                self.run_once(min(passed, seconds))
                before = trio.current_time()
                await trio.sleep(seconds)
                passed = trio.current_time() - before

    def run_once(self, passed_seconds: float) -> None:
        """Look once; a failure is logged when it is new."""
        found = self._check.overdue(passed_seconds)
        if not found:
            self._notifier.watchdog()
            self._status.alarm = ""
            return
        if not self._status.alarm:
            self._log.critical("self-check failed, the watchdog is not fed", why=found)
        self._status.alarm = f"self-check failed: {', '.join(found)}"


def duties_of(
    config: Config, api: RunningApi | None, worker: RunningWorker | None
) -> dict[str, Duty]:
    """What must go on in a daemon of these roles."""
    duties = {}
    if api is not None:
        duties["store"] = Duty(api.owed, partial(commit_limit_seconds, config))
    if worker is not None:

        def limit() -> float:
            return link_limit_seconds(config, worker.heartbeat_seconds)

        duties["link"] = Duty(worker.owed, limit)
    return duties


def commit_limit_seconds(config: Config) -> float:
    """How long one commit may take, however bad the database is."""
    store = config.store
    each = store.busy_timeout_seconds + store.connect_timeout_seconds
    return SLACK_SECONDS + ROUNDS * (each + store.statement_timeout_seconds)


def link_limit_seconds(config: Config, heartbeat_seconds: float) -> float:
    """How long a link may stay in one wait."""
    control = config.control
    each = control.call_timeout_seconds + control.retry_max_seconds + heartbeat_seconds
    return SLACK_SECONDS + STANDBY_SECONDS + ROUNDS * each
