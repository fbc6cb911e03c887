"""The journal's side of its native protocol, as strict as systemd-journald is.

Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import array
import fcntl
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PATIENCE_SECONDS: Final = 150.0
MAX_DATAGRAM_BYTES: Final = 64 * 1024 * 1024
NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
FULL_SEAL: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL

Entry = dict[str, str]


class Receiver:
    """Listens at `path`; an entry that the journal would ignore is a failure here."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self.files = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE_SECONDS)
        self._socket.bind(path)

    def next(self) -> Entry:
        """The next entry, when it has come."""
        body, ancillary, _, _ = self._socket.recvmsg(MAX_DATAGRAM_BYTES, socket.CMSG_SPACE(64))
        if ancillary:
            assert body == b"", "a datagram has either a text or a file"
            body = self._content(ancillary[0][2])
        entry = parsed(body)
        self.entries.append(entry)
        return entry

    def until(self, holds: Callable[[Entry], bool]) -> Entry:
        """The first entry, of those that came already too, of which this holds."""
        for entry in self.entries:
            if holds(entry):
                return entry
        while not holds(entry := self.next()):
            pass
        return entry

    def waiting(self) -> list[Entry]:
        """What has been sent by now."""
        first = len(self.entries)
        self._socket.setblocking(False)
        try:
            while True:
                self.next()
        except BlockingIOError:
            return self.entries[first:]
        finally:
            self._socket.settimeout(PATIENCE_SECONDS)

    def close(self) -> None:
        """Nobody listens any more, and the socket is gone."""
        self._socket.close()
        Path(self.path).unlink(missing_ok=True)

    def _content(self, passed: bytes) -> bytes:
        files = array.array("i")
        files.frombytes(passed)
        (file,) = files
        try:
            assert fcntl.fcntl(file, fcntl.F_GET_SEALS) == FULL_SEAL
            self.files += 1
            return os.pread(file, os.fstat(file).st_size, 0)
        finally:
            os.close(file)


def parsed(body: bytes) -> Entry:
    """The fields of an entry; each name once, and none that the journal would leave out."""
    entry: Entry = {}
    while body:
        head, _, rest = body.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            length = int.from_bytes(rest[:8], "little")
            value, end, body = (
                rest[8 : 8 + length],
                rest[8 + length : 9 + length],
                rest[9 + length :],
            )
            assert end == b"\n"
            assert len(value) == length
        else:
            body = rest
        text = name.decode("ascii")
        assert NAME.fullmatch(text), text
        assert text not in entry, text
        entry[text] = value.decode("utf-8")
    assert "MESSAGE" in entry
    return entry


@contextmanager
def open_receiver() -> Iterator[Receiver]:
    """One at a path that is short enough for a socket, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="journal-") as folder:
        receiver = Receiver(f"{folder}/socket")
        try:
            yield receiver
        finally:
            receiver.close()
