"""Whether a transaction is run on the event loop's thread, or handed to another one.

A hand-off costs more than a quick commit takes: the other thread has to be woken, and then waits
for a busy event loop to let go of the interpreter (measured with fdatasync at 30 µs: 230 µs of
processor time a job at 32 connections with a hand-off, 185 without; 1.9 ms for a request alone
against 1.2). But a slow disk must not stop the loop: after one slow commit everything is handed
off for a while.
"""

from __future__ import annotations

from typing import Final

SLOW_SECONDS: Final = 0.02  # one sync like this, and commits are handed off
MEAN_SLOW_SECONDS: Final = 0.002  # or when syncs take as long as this on average
HANDED_OFF_SECONDS: Final = 5.0
SMALL_ROWS: Final = 200  # larger groups are worth a hand-off: SQLite works while the loop goes on
_WEIGHT: Final = 0.05


class Pace:
    """Learns from how long the disk took to sync; times are monotonic seconds."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._handed_off_until = float("-inf")

    def inline(self, rows: int, now: float) -> bool:
        """Whether to commit so many rows on the loop's thread."""
        return rows <= SMALL_ROWS and now >= self._handed_off_until

    def took(self, seconds: float, now: float) -> None:
        """The sync of a commit on the loop's thread took so long."""
        self._mean += (seconds - self._mean) * _WEIGHT
        if seconds > SLOW_SECONDS or self._mean > MEAN_SLOW_SECONDS:
            self._mean = 0.0
            self._handed_off_until = now + HANDED_OFF_SECONDS


class HandOff(Pace):
    """Never on the loop's thread."""

    def inline(self, rows: int, now: float) -> bool:
        """See Pace."""
        return False
