"""A DNS server for one name, and daemons that ask it and nobody else.

They run in a mount namespace of their own, with a resolv.conf of the test (Linux, as root: the
system's resolver asks port 53 only).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

A: Final = 1  # RFC 1035, 3.2.2
IN: Final = 1
HEADER: Final = struct.Struct("!6H")
AUTHORITATIVE: Final = 0x8580  # an answer, recursion desired and available
NO_SUCH_NAME: Final = 3
QUESTION_AT: Final = 0xC00C  # a pointer to the question's name
MOST_BYTES: Final = 512

_ENTER: Final = (
    'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf '
    '&& shift 2 && exec "$@"'
)


class NameServer:
    """Answers with the A records of `name`, which a test may change; no caching (TTL 0)."""

    def __init__(self, name: str, folder: Path) -> None:
        own = os.getpid()
        self.address = f"127.77.{own >> 8 & 255}.{own & 255}"
        self.records: list[str] = []
        self.asked = 0
        self._name = b"".join(bytes([len(part)]) + part for part in name.encode().split(b"."))
        self._resolv_conf = folder / "resolv.conf"
        self._resolv_conf.write_text(f"nameserver {self.address}\noptions timeout:1 attempts:3\n")
        self._nsswitch = folder / "nsswitch.conf"
        self._nsswitch.write_text("hosts: dns\n")

    def prefix(self) -> tuple[str, ...]:
        """What a command is to be started through, so that it asks this server."""
        files = (str(self._resolv_conf), str(self._nsswitch))
        return ("unshare", "-m", "sh", "-c", _ENTER, "sh", *files)

    async def serve(self, own: trio.socket.SocketType) -> None:
        """Answer for ever."""
        while True:
            question, peer = await own.recvfrom(MOST_BYTES)
            await own.sendto(self.answer(question), peer)

    def answer(self, question: bytes) -> bytes:
        """The answer to a message with one question (RFC 1035, 4.1)."""
        number, _, _, *_ = HEADER.unpack_from(question)
        end = question.index(b"\0", HEADER.size) + 1
        name, (kind, _) = question[HEADER.size : end - 1], struct.unpack_from("!2H", question, end)
        known = name.lower() == self._name
        found = self.records if known and kind == A else []
        self.asked += known
        records = [
            struct.pack("!3HIH4s", QUESTION_AT, A, IN, 0, 4, socket.inet_aton(each))
            for each in found
        ]
        flags = AUTHORITATIVE | (0 if known else NO_SUCH_NAME)
        head = HEADER.pack(number, flags, 1, len(records), 0, 0)
        return head + question[HEADER.size : end + 4] + b"".join(records)


@asynccontextmanager
async def open_nameserver(name: str, folder: Path) -> AsyncIterator[NameServer]:
    """A server that answers, and knows no address of `name` yet."""
    server = NameServer(name, folder)
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        await own.bind((server.address, 53))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, own)
            yield server
            nursery.cancel_scope.cancel()
