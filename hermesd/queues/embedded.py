"""The queue that needs no broker: a job's row in the store is its place in the queue."""

from __future__ import annotations

from collections.abc import Sequence

from hermesd.core.errors import HermesError
from hermesd.core.job import Job, Rung
from hermesd.core.records import Head, QueueStatus, Waiting
from hermesd.ports import JobStore


class EmbeddedQueue:
    """JobQueue over a JobStore; see `ports.JobQueue`."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    @property
    def rung(self) -> Rung:
        """The last rung of the ladder."""
        return Rung.STORE

    async def offer(self, jobs: Sequence[Job]) -> Sequence[bool]:
        """True for all: a queued job's row is in the store already."""
        return [True] * len(jobs)

    async def take(self, wanted: Waiting) -> Head:
        """What waits in the store; raises StoreUnavailable where it can't be read."""
        return await self._jobs.waiting(wanted)

    async def status(self) -> QueueStatus:
        """Serving if the store answers."""
        try:
            await self._jobs.next_due()
        except HermesError as error:
            return QueueStatus(serving=False, reason=error.detail)
        return QueueStatus(serving=True)
