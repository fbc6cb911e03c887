"""The ids of new jobs."""

from __future__ import annotations

import hashlib
import os
from itertools import count
from typing import Final

RANDOM_BYTES: Final = 10
POOLED_IDS: Final = 400
KEY_BYTES: Final = 32


class JobIds:
    """Makes ids: UUIDv7 (RFC 9562 5.7) as text, the millisecond first so that inserts are local.

    Their random bits are SHAKE256 (FIPS 202) of a key from os.urandom and a counter, for many ids
    at once. Drawing them all from os.urandom gives the interpreter's lock away each time, and
    takes it back from a busy thread of the store up to 5 ms later. A forked process draws a key
    of its own.
    """

    def __init__(self) -> None:
        self._pool = ""
        self._next = 0
        self._pid = 0
        self._key = b""
        self._numbers = count()

    def new(self, now: float) -> str:
        """An id for the UTC second `now`."""
        start = self._next
        if start >= len(self._pool) or self._pid != os.getpid():
            start = 0
            self._pool = self._draw()
        self._next = start + 2 * RANDOM_BYTES
        random = self._pool[start : self._next]
        time = f"{int(now * 1000) & (1 << 48) - 1:012x}"
        # Of 20 random hex digits 18 are used and one makes the variant's two bits 0b10.
        variant = "89ab"[int(random[19], 16) & 3]
        return f"{time[:8]}-{time[8:]}-7{random[:3]}-{variant}{random[3:6]}-{random[6:18]}"

    def _draw(self) -> str:
        if self._pid != os.getpid():
            self._pid, self._key = os.getpid(), os.urandom(KEY_BYTES)
        number = next(self._numbers).to_bytes(8, "big")
        return hashlib.shake_256(self._key + number).hexdigest(RANDOM_BYTES * POOLED_IDS)
