"""Whose turn it is, and when: the number of jobs, the time, and the rate of a run in one place."""

from __future__ import annotations

from typing import NamedTuple

from hermesd.bench.plan import Plan


class Ticket(NamedTuple):
    """Leave to submit so many jobs, not before `due`.

    Under a rate a latency counts from `due`: what waits for a free connection has to wait all
    the same. Without one `due` is None: it counts from the sending.
    """

    jobs: int
    due: float | None


class Tickets:
    """Hands out tickets until jobs or time are used up, or it is closed."""

    def __init__(self, plan: Plan, began: float) -> None:
        self._left = plan.jobs
        self._size = plan.jobs_per_request
        self._began = began
        self._end = None if plan.duration_seconds is None else began + plan.duration_seconds
        self._seconds_per_job = 1 / plan.jobs_per_second if plan.jobs_per_second else None
        self._given_jobs = 0
        self._closed = False

    def close(self) -> None:
        """No more tickets."""
        self._closed = True

    def take(self, now: float) -> Ticket | None:
        """The next one; None: that was all."""
        due = None
        if self._seconds_per_job is not None:
            due = self._began + self._given_jobs * self._seconds_per_job
        late = self._end is not None and max(now, due or now) >= self._end
        if self._closed or late or self._left == 0:
            return None
        jobs = self._size if self._left is None else min(self._size, self._left)
        if self._left is not None:
            self._left -= jobs
        self._given_jobs += jobs
        return Ticket(jobs, due)
