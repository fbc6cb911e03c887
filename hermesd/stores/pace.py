"""Whether a transaction is run on the event loop's thread, or handed to another one.

To wake the other thread and to be woken by it costs 80 µs of processor time and more of waiting,
so that a small group is done soonest where it is. With a large one SQLite and the disk work beside
the loop, and what comes meanwhile makes the next group larger (measured, in turns within one run,
fsync 140 µs: at 32 connections, 21 rows a group, no difference; at 128, 130 rows, 22 % less for
the loop to do and 3 to 7 % more jobs).

A slow disk must never stop the loop: what slow commits took of it is paid back with many times as
much time without any. Rare hiccups are paid in advance. Where the disk is slow all the time,
commits come back when one beside the loop was quick.
"""

from __future__ import annotations

from typing import Final

QUICK_SECONDS: Final = 0.002  # a commit that takes no longer may always be on the loop
PAYBACK: Final = 50.0  # others make up at most 2 % of all time
ADVANCE_SECONDS: Final = 1.0  # that can have been paid already: 20 ms of commits
SLOW_BESIDE_SECONDS: Final = 5.0  # nor is one tried there, after a slow one on the other thread
LONGEST_SECONDS: Final = 60.0  # away from the loop, however long it stood still
SMALL_ROWS: Final = 16  # larger groups are worth a hand-off


class Pace:
    """Learns from how long commits took; times are monotonic seconds."""

    def __init__(self) -> None:
        self._paid_at = float("-inf")
        self._slow_until = float("-inf")

    def inline(self, rows: int, now: float) -> bool:
        """Whether to commit so many rows on the loop's thread."""
        return rows <= SMALL_ROWS and now >= max(self._paid_at, self._slow_until)

    def took(self, seconds: float, now: float) -> None:
        """A commit on the loop's thread took so long, up to now."""
        if seconds > QUICK_SECONDS:
            paid = max(self._paid_at, now - ADVANCE_SECONDS) + seconds * PAYBACK
            self._paid_at = min(paid, now + LONGEST_SECONDS)

    def took_beside(self, seconds: float, rows: int, now: float) -> None:
        """One on the other thread took so long, up to now.

        It can look slow there because it is large, or the loop too busy to let it go on: so one
        on the loop is tried after a while.
        """
        if seconds <= QUICK_SECONDS:
            self._slow_until = float("-inf")
        elif rows <= SMALL_ROWS:
            self._slow_until = now + SLOW_BESIDE_SECONDS


class HandOff(Pace):
    """Never on the loop's thread."""

    def inline(self, rows: int, now: float) -> bool:
        """See Pace."""
        return False
