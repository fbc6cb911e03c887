"""Whether a job's outcome had better wait for the job that is submitted next, to share its commit.

A client that submits one job after another sends the next when it has its answer, and that is when
the outcome of the last one arrives: committed at once, it would hold up what the client waits for,
and two commits take nearly twice as long as one that holds both. That pays on SQLite, where the
event loop stands still meanwhile; PostgreSQL commits an outcome while the client's answer is on its
way (measured, one connection: no gain there in jobs or processor time).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import trio

from hermesd.stores.work import Work

LATE: Final = 1.5  # how many times the last gap the next job may take
LONGEST_SECONDS: Final = 0.001  # an outcome waits, and only for a job that is due by then


class Expected:
    """Learns from when jobs came, one by one; times are monotonic seconds."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._due = math.inf  # when the next one comes, if it comes as the last one did
        self._late = math.inf

    def came(self, now: float) -> None:
        """A job was submitted."""
        gap = now - self._last
        self._last, self._due, self._late = now, now + gap, now + gap * LATE

    def seconds(self, now: float) -> float:
        """How long to wait for the next one; 0 where it is not expected soon."""
        if self._due > now + LONGEST_SECONDS:
            return 0.0
        return max(min(self._late - now, LONGEST_SECONDS), 0.0)


class Company:
    """Keeps one outcome, in the task of its caller, until its moment is over or it is taken."""

    def __init__(self) -> None:
        self.expected = Expected()
        self._kept: Work | None = None
        self._moment = trio.CancelScope()

    @property
    def keeps(self) -> bool:
        """Whether it has one."""
        return self._kept is not None

    async def keep(self, work: Work, seconds: float) -> bool:
        """Return when whoever has taken it has committed it; False where nobody has taken it.

        It is nobody's but the caller's then, as when the caller is cancelled.
        """
        self._kept = work
        self._moment = trio.CancelScope(deadline=trio.current_time() + seconds)
        try:
            with self._moment:
                await work.done()
        finally:
            left = self._kept is work
            if left:
                self._kept = None
                work.withdrawn = False
        return not left

    def taken(self) -> Sequence[Work]:
        """What is kept, if anything is: from now on it is the caller's to have it committed."""
        work = self._kept
        if work is None or work.withdrawn:  # its task goes on in this turn of the loop
            return ()
        self._kept = None
        self._moment.deadline = math.inf
        return (work,)
