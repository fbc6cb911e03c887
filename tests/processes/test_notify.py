"""What a daemon tells systemd over a real notification socket (sd_notify(3))."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator

import pytest
import trio

from processes.daemon import PATIENCE_SECONDS
from processes.deployment import Deployment

WATCHDOG_SECONDS = 1.0


class Manager:
    """Listens as systemd does; `told` is everything it has heard, oldest first."""

    def __init__(self, listener: socket.socket) -> None:
        self.told: list[str] = []
        self._listener = trio.socket.from_stdlib_socket(listener)

    async def hears(self, fits: Callable[[str], bool]) -> str:
        """The next message of this kind."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                self.told.append((await self._listener.recv(1000)).decode())
                if fits(self.told[-1]):
                    return self.told[-1]

    async def hears_until_silent(self) -> None:
        """Take what has come, once whoever tells has ended."""
        with trio.move_on_after(0.1):
            await self.hears(lambda _: False)


@pytest.fixture
def manager(deployment: Deployment) -> Iterator[Manager]:
    """The manager of all daemons of the deployment."""
    place = str(deployment.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(place)
        deployment.settings = {"NOTIFY_SOCKET": place}
        yield Manager(listener)


async def test_a_daemon_tells_its_whole_life(deployment: Deployment, manager: Manager) -> None:
    """READY once it serves, the jobs in flight, and at SIGTERM STOPPING and that it needs time."""
    daemon = await deployment.both(HERMES_DRAIN__SECONDS="60")
    await manager.hears(lambda line: line == "READY=1")
    first = next(line for line in manager.told if line.startswith("STATUS="))
    assert "api: jobs in flight 0, " in first
    assert "worker: slots busy 0 of " in first
    await deployment.client.routable("both")
    job_id = (await deployment.client.submit("note", {"seconds": 60.0}))["job"]["id"]
    status = await manager.hears(lambda line: "api: jobs in flight 1, " in line)
    if "worker: slots busy 1 of " not in status:  # one of the two is a moment ahead
        await manager.hears(lambda line: "worker: slots busy 1 of " in line)
    daemon.sigterm()
    await manager.hears(lambda line: line == "STOPPING=1")
    extended = await manager.hears(lambda line: line.startswith("EXTEND_TIMEOUT_USEC="))
    assert int(extended.partition("=")[2]) >= 10_000_000
    await manager.hears(lambda line: "worker draining: slots busy 1 of " in line)
    daemon.sigterm()
    assert await daemon.wait() == 0
    await manager.hears_until_silent()
    assert manager.told.count("READY=1") == 1
    assert deployment.history.jobs()[job_id].state == "queued"


async def test_the_watchdog_is_fed_while_all_is_well(
    deployment: Deployment, manager: Manager
) -> None:
    """Where it is not, systemd sends SIGABRT, and the log gets to know where every thread stood."""
    watch = {"WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1_000_000))}
    daemon = await deployment.both(**watch)
    for _ in range(3):
        await manager.hears(lambda line: line == "WATCHDOG=1")
    assert not daemon.events("self-check failed, the watchdog is not fed")
    os.kill(daemon.pid, signal.SIGABRT)
    assert await daemon.wait() == -signal.SIGABRT
    assert any("most recent call first" in line.get("text", "") for line in daemon.log)


async def test_a_start_that_takes_long_asks_for_time(
    deployment: Deployment, manager: Manager
) -> None:
    """From its first moment on, so that an upgrade of the tables is not cut off."""
    await deployment.api()
    await manager.hears(lambda line: line == "READY=1")
    assert manager.told[0].startswith("EXTEND_TIMEOUT_USEC=")
