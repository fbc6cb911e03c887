"""Ports for daemons that must come back at the same address."""

from __future__ import annotations

import os
import random
import socket
from collections import deque
from typing import Final

# Below what the system hands out to outgoing connections, of which a test opens thousands.
LOWEST: Final = 18_000
HIGHEST: Final = 31_000
# Of those each process of a run in parallel has its own.
PROCESSES: Final = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
PROCESS: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_given: deque[int] = deque(maxlen=1000)  # not bound yet, perhaps


def free_port() -> int:
    """A port of the loopback address that nothing is bound to now, and that nobody got before."""
    chance = random.SystemRandom()
    while True:
        port = chance.randint(LOWEST, HIGHEST)
        if port in _given or port % PROCESSES != PROCESS:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.append(port)
        return port
