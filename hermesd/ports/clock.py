"""Time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time, monotonic inside and UTC at the boundary."""

    def utc(self) -> float:
        """Seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
