"""The watchdog is fed unless something stands still that this process is to blame for."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from structlog.testing import capture_logs

from hermesd.bridge.loop import open_bridge
from hermesd.clock import SystemClock
from hermesd.config import Config
from hermesd.core.errors import StoreUnavailable
from hermesd.daemon.patience import EVERY_SECONDS, GRANT_SECONDS, ask_for_time
from hermesd.daemon.selfcheck import (
    BridgePulse,
    Duty,
    SelfCheck,
    WatchdogFeeder,
    commit_limit_seconds,
    link_limit_seconds,
)
from hermesd.daemon.status import StatusLine
from hermesd.stores.sqlite import open_sqlite
from hermesd.systemd import Notifier

LOOK_SECONDS = 15.0
LIMIT_SECONDS = 40.0
PATIENCE_SECONDS = 150.0


class Manager:
    """What systemd would have heard."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.setblocking(False)
        self.notifier = Notifier({"NOTIFY_SOCKET": str(place)})

    def heard(self) -> list[str]:
        """Everything since it was asked last."""
        told = []
        while True:
            try:
                told.append(self._socket.recv(1000).decode())
            except BlockingIOError:
                return told

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


class Turns:
    """Somebody who owes turns; `count` None: nothing waits for it."""

    def __init__(self) -> None:
        self.count: int | None = 0

    def owed(self) -> dict[str, int]:
        """As a duty asks it."""
        return {} if self.count is None else {"it": self.count}

    def check(self) -> SelfCheck:
        """A self-check of this alone."""
        return SelfCheck({"duty of": Duty(self.owed, lambda: LIMIT_SECONDS)})


def test_what_stands_still_for_longer_than_it_may_is_found() -> None:
    """And is well again with its next turn."""
    turns = Turns()
    check = turns.check()
    found = [check.overdue(LOOK_SECONDS) for _ in range(4)]
    assert found == [[], [], [], ["duty of it stands still for 45 s"]]
    turns.count = 1
    assert check.overdue(LOOK_SECONDS) == []


def test_who_owes_nothing_may_rest_for_ever() -> None:
    """The time in which nothing waited does not count later either."""
    turns = Turns()
    check = turns.check()
    for count in (0, None, None, None, None, 0, 0, 0):
        turns.count = count
        assert check.overdue(LOOK_SECONDS) == []


def test_the_watchdog_goes_hungry_while_a_check_fails(manager: Manager) -> None:
    """It is logged once, shown in the status meanwhile, and over when all is well again."""
    turns, status = Turns(), StatusLine(manager.notifier, [lambda: "api"])
    with capture_logs() as log:
        feeder = WatchdogFeeder(turns.check(), manager.notifier, status, structlog.get_logger())
        for _ in range(3):
            feeder.run_once(LOOK_SECONDS)
        assert manager.heard() == ["WATCHDOG=1"] * 3
        for _ in range(3):
            feeder.run_once(LOOK_SECONDS)
        status.run_once()
        assert manager.heard() == [
            "STATUS=api; self-check failed: duty of it stands still for 75 s"
        ]
        turns.count = 1
        feeder.run_once(LOOK_SECONDS)
        status.run_once()
        assert manager.heard() == ["WATCHDOG=1", "STATUS=api"]
    assert [line["event"] for line in log] == ["self-check failed, the watchdog is not fed"]


async def test_a_store_that_is_away_is_no_reason_to_be_killed(tmp_path: Path) -> None:
    """Every caller is refused in time, which is all that can be done."""
    place = tmp_path / "hermes.db"
    settings: dict[str, Any] = {"max_group": 100, "max_pending": 100, "busy_timeout_seconds": 0.05}
    log = structlog.get_logger()
    async with open_sqlite(place, clock=SystemClock(), log=log, **settings) as store:

        def owed() -> dict[str, int]:
            turns = store.owed()
            return {} if turns is None else {"commit": turns}

        check = SelfCheck({"store": Duty(owed, lambda: commit_limit_seconds(Config()))})
        other = sqlite3.connect(place, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        seen = set()
        for _ in range(int(commit_limit_seconds(Config()) / LOOK_SECONDS) + 2):
            with trio.fail_after(PATIENCE_SECONDS):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(refused, store)
                    while store.owed() is None:
                        await trio.lowlevel.checkpoint()
                    seen.add(store.owed())
                    assert check.overdue(LOOK_SECONDS) == []
        other.close()
        assert len(seen) > commit_limit_seconds(Config()) / LOOK_SECONDS
        assert store.owed() is None


async def refused(store: Any) -> None:
    """Ask for a change that cannot be made now."""
    with pytest.raises(StoreUnavailable):
        await store.check()


async def test_the_asyncio_loop_is_felt(autojump_clock: trio.testing.MockClock) -> None:
    """Its turns go on as long as it does."""
    pulse = BridgePulse()
    async with open_bridge(), trio.open_nursery() as nursery:
        nursery.start_soon(pulse.run, 1.0)
        seen = []
        for _ in range(3):
            await trio.sleep(2.0)
            seen.append(pulse.owed()["loop"])
        assert seen[0] < seen[1] < seen[2]
        nursery.cancel_scope.cancel()


def test_the_limits_leave_room_for_all_that_is_bounded() -> None:
    """A store and an api that answer at the last moment, each time."""
    store, control = Config().store, Config().control
    assert commit_limit_seconds(Config()) > 2 * (
        store.connect_timeout_seconds + store.statement_timeout_seconds + store.busy_timeout_seconds
    )
    assert link_limit_seconds(Config(), 100.0) > 2 * (100.0 + control.call_timeout_seconds)


async def test_time_is_asked_for_again_and_again_but_not_for_ever(
    manager: Manager, autojump_clock: trio.testing.MockClock
) -> None:
    """Each grant outlasts the wait for the next one, and the last ends with the drain's own end."""
    await ask_for_time(manager.notifier, 32.0)
    granted = [int(line.partition("=")[2]) / 1_000_000 for line in manager.heard()]
    assert granted == [20.0, 20.0, 20.0, 17.0, 12.0, 7.0, 2.0]
    assert EVERY_SECONDS < GRANT_SECONDS / 2
