"""What systemd and the daemon tell one another: readiness, the watchdog, credentials, sockets.

Source: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3) and the section on credentials in
systemd.exec(5). Without systemd all of it does nothing, and no failure to notify ever reaches the
daemon.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final, NamedTuple

MAX_STATUS_CHARS: Final = 500
_SEND_SECONDS: Final = 0.5
_MICROSECONDS: Final = 1_000_000
_FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START
_LISTEN_NAMES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_UNNAMED: Final = "unknown"  # what systemd calls it


class BadSocket(ValueError):
    """Something was passed that nobody can be accepted from; the text says what and why."""


class PassedSocket(NamedTuple):
    """A listening TCP socket of a socket unit, under its FileDescriptorName=."""

    name: str
    socket: socket.socket

    @property
    def host(self) -> str:
        """The address that it is bound to."""
        return str(self.socket.getsockname()[0])

    @property
    def port(self) -> int:
        """The port that it is bound to."""
        return int(self.socket.getsockname()[1])


class Notifier:
    """Sends the service's state to the socket that NOTIFY_SOCKET names, if it is set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @property
    def heard(self) -> bool:
        """Whether anybody is named who would listen."""
        return self._address.startswith(("/", "\0"))

    def ready(self) -> None:
        """Startup is finished."""
        self._send("READY=1")

    def reloading(self, at: float) -> None:
        """The configuration is being read again, until `ready`; `at`: now by CLOCK_MONOTONIC."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={round(at * _MICROSECONDS)}")

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
        """Starting or stopping may take this long from now on; a later call counts anew."""
        self._send(f"EXTEND_TIMEOUT_USEC={max(0, round(seconds * _MICROSECONDS))}")

    def _send(self, message: str) -> None:
        if not self.heard:
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


def take_sockets(environ: MutableMapping[str, str], pid: int) -> list[PassedSocket]:
    """The sockets that were passed to this process, in their order; the caller owns them.

    `pid` is this process: those that are meant for another (LISTEN_PID) are not touched. The
    variables are taken out of `environ` and no child inherits the descriptors. To close a socket
    leaves it open with systemd, and connections that wait wait on. Raises BadSocket.
    """
    given = {name: environ.pop(name, "") for name in _LISTEN_NAMES}
    try:
        meant_for, count = int(given["LISTEN_PID"] or -1), int(given["LISTEN_FDS"] or 0)
    except ValueError:
        raise BadSocket("LISTEN_PID and LISTEN_FDS must be numbers") from None
    if meant_for != pid or count <= 0:
        return []
    names = given["LISTEN_FDNAMES"].split(":") if given["LISTEN_FDNAMES"] else [_UNNAMED] * count
    if len(names) != count:
        raise BadSocket(f"LISTEN_FDNAMES has {len(names)} names for {count} sockets")
    return [
        PassedSocket(name, _listening(_FIRST_DESCRIPTOR + place, name))
        for place, name in enumerate(names)
    ]


def _listening(descriptor: int, name: str) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        passed = socket.socket(fileno=descriptor)
        listens = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise BadSocket(f"descriptor {descriptor} ({name}): {error.strerror}") from error
    if passed.family not in (socket.AF_INET, socket.AF_INET6) or not listens:
        raise BadSocket(f"descriptor {descriptor} ({name}) is no listening TCP socket")
    return passed
