"""What a daemon tells systemd over a real notification socket (sd_notify(3))."""

from __future__ import annotations

import socket

import trio

from processes.daemon import PATIENCE_SECONDS
from processes.deployment import Deployment


async def test_a_drain_may_take_as_long_as_it_is_configured_to(deployment: Deployment) -> None:
    """READY once it serves; at SIGTERM, STOPPING and a stop timeout that covers the drain."""
    place = deployment.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(place))
        listener.settimeout(PATIENCE_SECONDS)
        daemon = await deployment.both(NOTIFY_SOCKET=str(place), HERMES_DRAIN__SECONDS="60")
        daemon.sigterm()
        assert await daemon.wait() == 0
        listener.setblocking(False)
        told = await trio.to_thread.run_sync(drained, listener)
    ready, stopping = told.index("READY=1"), told.index("STOPPING=1")
    [extended] = [line for line in told if line.startswith("EXTEND_TIMEOUT_USEC=")]
    assert ready < stopping < told.index(extended)
    assert int(extended.partition("=")[2]) >= 60_000_000


def drained(listener: socket.socket) -> list[str]:
    """All that has been told."""
    told = []
    while True:
        try:
            told.append(listener.recv(1000).decode())
        except BlockingIOError:
            return told
