"""The ids of new jobs."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Callable
from itertools import count
from typing import Final

RANDOM_BYTES: Final = 10
POOLED_IDS: Final = 400
KEY_BYTES: Final = 32

# Of a random hex digit its low two bits, with the variant's 0b10 before them.
_VARIANTS: Final = {f"{digit:x}": "89ab"[digit & 3] for digit in range(16)}


class JobIds:
    """Makes ids: UUIDv7 (RFC 9562 5.7) as text, the millisecond first so that inserts are local.

    Their random bits are SHAKE256 (FIPS 202) of a key from os.urandom and a counter, for many ids
    at once. Drawing them all from os.urandom gives the interpreter's lock away each time, and
    takes it back from a busy thread of the store up to 5 ms later. A forked process draws a key
    of its own.
    """

    def __init__(self) -> None:
        self._pool: list[str] = []
        self._key = b""
        self._numbers = count()
        self._millisecond = -1
        self._time = ""
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: _call(forget()))

    def new(self, now: float) -> str:
        """An id for the UTC second `now`."""
        if not self._pool:
            self._pool = self._draw()
        millisecond = int(now * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            time = f"{millisecond & (1 << 48) - 1:012x}"
            self._time = f"{time[:8]}-{time[8:]}-7"
        return self._time + self._pool.pop()

    def _draw(self) -> list[str]:
        """What follows the version in so many ids."""
        if not self._key:
            self._key = os.urandom(KEY_BYTES)
        number = next(self._numbers).to_bytes(8, "big")
        drawn = hashlib.shake_256(self._key + number).hexdigest(RANDOM_BYTES * POOLED_IDS)
        chunks = (
            drawn[at : at + 2 * RANDOM_BYTES] for at in range(0, len(drawn), 2 * RANDOM_BYTES)
        )
        # Of 20 random hex digits 18 are used and one makes the variant.
        return [
            f"{random[:3]}-{_VARIANTS[random[19]]}{random[3:6]}-{random[6:18]}" for random in chunks
        ]

    def _forget(self) -> None:
        self._pool, self._key = [], b""


def _call(function: Callable[[], None] | None) -> None:
    if function is not None:
        function()
