"""When to try again to reach a server that is away: waits that grow, with jitter.

All connections of a store share one: whoever reaches the server again ends the wait of all.
"""

from __future__ import annotations

from typing import Final

FIRST_SECONDS: Final = 0.1
MOST_SECONDS: Final = 5.0


class Comeback:
    """Times are monotonic seconds, `chance` is from 0 to 1; `trouble` is what failed last."""

    def __init__(self) -> None:
        self.trouble = ""
        self._wait = 0.0
        self._not_before = 0.0

    def seconds_left(self, now: float) -> float:
        """How long to leave the server alone; 0: try."""
        return max(self._not_before - now, 0.0)

    def failed(self, now: float, chance: float, trouble: str) -> None:
        """It could not be reached."""
        self.trouble = trouble
        self._wait = min(max(self._wait * 2, FIRST_SECONDS), MOST_SECONDS)
        self._not_before = now + self._wait * (0.5 + chance / 2)

    def worked(self) -> None:
        """It was reached."""
        self._wait = self._not_before = 0.0
