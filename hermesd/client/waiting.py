"""Waiting for a run's end by long polls: how long the next one is, and when to give up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hermesd.client.answers import JobView
from hermesd.client.faults import WaitTimeout

POLL_SECONDS: Final = 20.0
SHORTEST_ROUND_SECONDS: Final = 0.25


@dataclass
class Vigil:
    """One wait for one job, at most `timeout_seconds` long, in polls of at most `poll_seconds`."""

    job_id: str
    timeout_seconds: float
    poll_seconds: float = POLL_SECONDS
    monotonic: Callable[[], float] = time.monotonic
    _deadline: float = field(init=False)
    _round_began: float = field(init=False)

    def __post_init__(self) -> None:
        self._deadline = self.monotonic() + max(self.timeout_seconds, 0.0)

    def next_poll_seconds(self) -> float:
        """How long the api is asked to hold the next answer."""
        self._round_began = self.monotonic()
        return min(max(self._deadline - self._round_began, 0.0), self.poll_seconds)

    def pause_after(self, job: JobView) -> float | None:
        """None: the run has ended. Else seconds until the next poll; raises WaitTimeout.

        An api that answers at once without an end (it is draining) is not asked in a tight loop.
        """
        if job.state.terminal:
            return None
        now = self.monotonic()
        if now >= self._deadline:
            raise WaitTimeout(
                f"job {self.job_id} is still {job.state} after {self.timeout_seconds:g} s", job
            )
        return max(SHORTEST_ROUND_SECONDS - (now - self._round_began), 0.0)
