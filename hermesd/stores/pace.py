"""Whether a transaction is run on the event loop's thread, or handed to another one.

To wake the other thread and to be woken by it costs 80 µs of processor time and more of waiting,
so that a small group is done soonest where it is. With a large one SQLite and the disk work beside
the loop, and what comes meanwhile makes the next group larger (measured, in turns within one run,
fsync 140 µs: at 32 connections, 21 rows a group, no difference; at 128, 130 rows, 22 % less for
the loop to do and 3 to 7 % more jobs). A slow disk must never stop the loop: after one slow commit
everything is handed off for a while.
"""

from __future__ import annotations

from typing import Final

SLOW_SECONDS: Final = 0.02  # one commit like this, and commits are handed off
MEAN_SLOW_SECONDS: Final = 0.002  # or when they take as long as this on average
HANDED_OFF_SECONDS: Final = 5.0
SMALL_ROWS: Final = 16  # larger groups are worth a hand-off
_WEIGHT: Final = 0.05


class Pace:
    """Learns from how long commits took; times are monotonic seconds."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._handed_off_until = float("-inf")

    def inline(self, rows: int, now: float) -> bool:
        """Whether to commit so many rows on the loop's thread."""
        return rows <= SMALL_ROWS and now >= self._handed_off_until

    def took(self, seconds: float, now: float) -> None:
        """A commit on the loop's thread took so long."""
        self._mean += (seconds - self._mean) * _WEIGHT
        if seconds > SLOW_SECONDS or self._mean > MEAN_SLOW_SECONDS:
            self._mean = 0.0
            self._handed_off_until = now + HANDED_OFF_SECONDS


class HandOff(Pace):
    """Never on the loop's thread."""

    def inline(self, rows: int, now: float) -> bool:
        """See Pace."""
        return False
