"""What systemd and the daemon tell one another: readiness, the watchdog, credentials.

Source: sd_notify(3), sd_watchdog_enabled(3) and the section on credentials in systemd.exec(5).
Without systemd all of it does nothing, and no failure to notify ever reaches the daemon.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MAX_STATUS_CHARS: Final = 500
_SEND_SECONDS: Final = 0.5
_MICROSECONDS: Final = 1_000_000


class Notifier:
    """Sends the service's state to the socket that NOTIFY_SOCKET names, if it is set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        """Startup is finished."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Shutdown has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; longer texts are cut."""
        line = " ".join(text.split())
        self._send(f"STATUS={line[:MAX_STATUS_CHARS]}")

    def watchdog(self) -> None:
        """The daemon is alive; due within every WatchdogSec."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Starting or stopping may take this long from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={max(0, round(seconds * _MICROSECONDS))}")

    def _send(self, message: str) -> None:
        if not self._address.startswith(("/", "\0")):
            return
        # OSError: nobody listens, or the queue stayed full; ValueError: a NUL within the path.
        with (
            contextlib.suppress(OSError, ValueError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection,
        ):
            connection.settimeout(_SEND_SECONDS)
            connection.connect(self._address)
            connection.sendall(message.encode(errors="replace"))


def watchdog_interval_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How often to call `watchdog()`: half of what systemd waits; None where it does not wait.

    `pid` is this process: a watchdog meant for another (WATCHDOG_PID) is not ours to feed.
    """
    try:
        microseconds = int(environ["WATCHDOG_USEC"])
        meant_for = int(environ.get("WATCHDOG_PID", pid))
    except (KeyError, ValueError):
        return None
    if microseconds <= 0 or meant_for != pid:
        return None
    return microseconds / _MICROSECONDS / 2


def credentials_directory(environ: Mapping[str, str]) -> Path | None:
    """The folder with the unit's credentials (LoadCredential=), if it has any."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None
