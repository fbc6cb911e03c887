"""A clock that stands still until it is told to move."""

from __future__ import annotations


class ManualClock:
    """Clock whose UTC and monotonic time move together, by `advance()` only."""

    def __init__(self, start_utc: float = 1_800_000_000.0) -> None:
        self._start = start_utc
        self._passed = 0.0

    def utc(self) -> float:
        """Seconds since the epoch, UTC."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let time pass; raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._passed += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator would; monotonic time stays."""
        self._start += seconds
