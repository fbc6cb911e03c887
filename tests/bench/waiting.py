"""Waiting for what other programs do."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 150.0


def until(done: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Poll until `done()`; TimeoutError that names `what`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(POLL_SECONDS)


def until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens on that port of loopback; RuntimeError if `process` ends."""

    def listening() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listening, f"port {port}")
