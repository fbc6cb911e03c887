"""Whether a job's outcome had better wait for the job that is submitted next, to share its commit.

A client that submits one job after another sends the next when it has its answer, and that is when
the outcome of the last one arrives: committed at once, it would hold up what the client waits for,
and two commits take nearly twice as long as one that holds both.
"""

from __future__ import annotations

from typing import Final

CLOSE_SECONDS: Final = 0.003  # jobs that come further apart are not waited for
LATE: Final = 1.5  # how many times the last gap the next job may take
LONGEST_SECONDS: Final = 0.001  # an outcome waits


class Company:
    """Learns from when jobs came, one by one; times are monotonic seconds."""

    def __init__(self) -> None:
        self._last = float("-inf")
        self._gap = float("inf")

    def came(self, now: float) -> None:
        """A job was submitted."""
        self._gap = now - self._last
        self._last = now

    def seconds(self, now: float) -> float:
        """How long to wait for the next one; 0 where it is not expected soon."""
        if self._gap > CLOSE_SECONDS:
            return 0.0
        return max(min(self._last + self._gap * LATE - now, LONGEST_SECONDS), 0.0)
