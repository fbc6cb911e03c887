"""The one place that reads a clock."""

from __future__ import annotations

import time

import trio


class SystemClock:
    """UTC from the machine, monotonic time from trio (so that a test's clock moves it)."""

    def utc(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        return trio.current_time()

    def since_boot(self) -> float:
        """Seconds by CLOCK_MONOTONIC (clock_gettime(2)), which other processes read too."""
        return time.monotonic()


class TrioClock:
    """A clock whose UTC follows trio's time from a given start: virtual under autojump."""

    def __init__(self, start_utc: float = 1_800_000_000.0) -> None:
        self._offset = start_utc - trio.current_time()

    def utc(self) -> float:
        """Seconds since the epoch, UTC."""
        return self._offset + trio.current_time()

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        return trio.current_time()
