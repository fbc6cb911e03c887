"""The circuit breaker of one dispatch path: closed, open, half-open.

A path starts open: a worker becomes routable only after a probe over its dispatch address.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class BreakerState(StrEnum):
    """closed: jobs flow; open: nothing is sent; half-open: one probe is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


_CLOSED: Final = BreakerState.CLOSED


class Breaker:
    """Decides when to probe; all times are monotonic seconds."""

    def __init__(self, now: float, *, min_backoff_seconds: float, max_backoff_seconds: float):
        self.state = BreakerState.OPEN
        self.reason = "not probed yet"
        self.probe_at = now
        self._min = min_backoff_seconds
        self._max = max_backoff_seconds
        self._backoff = min_backoff_seconds

    @property
    def closed(self) -> bool:
        """Whether jobs may be sent."""
        return self.state is _CLOSED

    def trip(self, now: float, reason: str) -> bool:
        """A dispatch or probe failed; True if the path was closed until now."""
        was_closed = self.closed
        if was_closed:
            self._backoff = self._min
        self.state = BreakerState.OPEN
        self.reason = reason
        self.probe_at = now + self._backoff
        self._backoff = min(self._backoff * 2, self._max)
        return was_closed

    def probing(self) -> None:
        """A probe is under way."""
        self.state = BreakerState.HALF_OPEN

    def reset(self) -> None:
        """A probe succeeded."""
        self.state = BreakerState.CLOSED
        self.reason = ""
        self._backoff = self._min
