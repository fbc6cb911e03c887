"""The systemd journal by its native protocol: entries of named fields, over a datagram socket.

Sources: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ for what is sent, systemd.exec(5) for
$JOURNAL_STREAM.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import socket
import threading
from array import array
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Final

SOCKET: Final = "/run/systemd/journal/socket"
# As the journal's own library has it; the kernel gives less where it allows less.
SEND_BUFFER_BYTES: Final = 8 * 1024 * 1024
# Kept for a journal that is slow, beside what waits in its socket (10 to 512 entries).
MAX_WAITING: Final = 1000
MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
RETRY_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.05  # where it is not the socket's room that is short
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_LENGTH_BYTES: Final = 8
_FULL: Final = (errno.EAGAIN, errno.ENOBUFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Fate(Enum):
    """What became of an entry."""

    SENT = "sent"  # or it will be, as soon as the journal reads
    FULL = "full"  # the journal has not read for so long that the entry is lost
    GONE = "gone"  # no journal is there


class Journal:
    """Sends entries in their order, from any thread, and never lets one wait.

    What the socket has no room for is sent by a thread of its own, which ends when it is done.
    """

    def __init__(self, path: str = SOCKET) -> None:
        self._now = _Socket(path, 0.0)
        self._later = _Socket(path, RETRY_SECONDS)
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._sender: threading.Thread | None = None
        self._pause = threading.Event()  # never set
        atexit.register(self._last_chance)

    def send(self, entry: bytes) -> Fate:
        """Send an entry as `encoded` makes it."""
        with self._lock:
            if not self._waiting:
                fate = self._now.send(entry)
                if fate is not Fate.FULL:
                    return fate
            return self._keep(entry)

    def _keep(self, entry: bytes) -> Fate:
        size = self._waiting_bytes + len(entry)
        if len(self._waiting) >= MAX_WAITING or size > MAX_WAITING_BYTES:
            return Fate.FULL
        self._waiting.append(entry)
        self._waiting_bytes = size
        if self._sender is None:
            sender = threading.Thread(target=self._send_waiting, name="journal", daemon=True)
            try:
                sender.start()
            except RuntimeError:  # no thread can be had: the next entry tries again
                return Fate.SENT
            self._sender = sender
        return Fate.SENT

    def _send_waiting(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._sender = None
                    return
                entry = self._waiting[0]
            if self._later.send(entry) is Fate.FULL:
                self._pause.wait(PAUSE_SECONDS)
                continue
            with self._lock:
                self._waiting.popleft()
                self._waiting_bytes -= len(entry)

    def _last_chance(self) -> None:
        """The process ends, and the thread with it."""
        if (sender := self._sender) is not None:
            sender.join(RETRY_SECONDS)


class _Socket:
    """Waits for so long where there is no room.

    The journal is found by its path each time, so that one that is started anew is found too.
    """

    def __init__(self, path: str, seconds: float) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(seconds)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def send(self, entry: bytes) -> Fate:
        try:
            try:
                self._socket.sendto(entry, self._path)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                self._send_as_file(entry)
        except TimeoutError:
            return Fate.FULL
        except OSError as error:
            return Fate.FULL if error.errno in _FULL else Fate.GONE
        return Fate.SENT

    def _send_as_file(self, entry: bytes) -> None:
        """What is too large for a datagram goes as a sealed file in memory, with an empty one."""
        file = os.memfd_create("hermesd-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(file), "wb") as opened:
                opened.write(entry)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            attached = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file]))
            self._socket.sendmsg([], [attached], 0, self._path)
        finally:
            os.close(file)


def encoded(fields: Mapping[str, str]) -> bytes:
    """An entry: NAME=value a line, or for a value of several lines its name, length and bytes."""
    parts: list[bytes] = []
    for name, text in fields.items():
        value = text.encode("utf-8", "backslashreplace")
        if b"\n" in value:
            length = len(value).to_bytes(_LENGTH_BYTES, "little")
            parts += (name.encode(), b"\n", length, value, b"\n")
        else:
            parts += (name.encode(), b"=", value, b"\n")
    return b"".join(parts)


def is_journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Whether the service manager has connected this file descriptor with the journal.

    $JOURNAL_STREAM is inherited by children whose output goes elsewhere, hence the comparison.
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))
