"""A queue in memory, which a test can take out of service."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from hermesd.core.job import Job, Rung
from hermesd.core.records import Head, QueueStatus, Waiting


class MemoryQueue:
    """JobQueue that keeps what it was offered until `forget()`; see `ports.JobQueue`."""

    def __init__(self, rung: Rung = Rung.STORE) -> None:
        self._rung = rung
        self._jobs: dict[str, Job] = {}
        self._fault: str | None = None

    @property
    def rung(self) -> Rung:
        """As it was made."""
        return self._rung

    def fail(self, reason: str) -> None:
        """Take nothing over and give nothing out until `recover()`."""
        self._fault = reason

    def recover(self) -> None:
        """Serve again."""
        self._fault = None

    def forget(self, job_id: str) -> None:
        """The job is assigned, or gone."""
        self._jobs.pop(job_id, None)

    async def offer(self, jobs: Sequence[Job]) -> Sequence[bool]:
        """True for all while it serves."""
        await trio.lowlevel.checkpoint()
        if self._fault is None:
            for job in jobs:
                self._jobs.setdefault(job.id, job)
        return [self._fault is None] * len(jobs)

    async def take(self, wanted: Waiting) -> Head:
        """Highest priority first, then in the order offered."""
        await trio.lowlevel.checkpoint()
        jobs = self._jobs.values() if self._fault is None else ()
        fitting = [job for job in jobs if (job.queue, job.type) in wanted.pairs]
        fitting.sort(key=lambda job: -job.priority)
        return wanted.head(fitting)

    async def status(self) -> QueueStatus:
        """As a test has set it."""
        await trio.lowlevel.checkpoint()
        return QueueStatus(serving=self._fault is None, reason=self._fault or "")
