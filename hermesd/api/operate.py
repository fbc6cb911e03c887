"""What operators do to one job: cancel, retry. For many at once see `bulk`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hermesd.api.events import EventRing
from hermesd.core.errors import IllegalMove, NotFound
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.states import State
from hermesd.ports import JobReader, JobStore


class Aftermath(NamedTuple):
    """Who is told of what is committed.

    `cancelled` gets a waiting job as it was and as it is, `cancel_requested` a running one,
    `queued` jobs that are queued now with the state that they come from, `purged` how many failed
    jobs are gone.
    """

    cancelled: Callable[[Job, Job], None]
    cancel_requested: Callable[[Job], None]
    queued: Callable[[Sequence[Job], State, EventKind], None]
    purged: Callable[[int], None]


class Operator:
    """Carries out operators' orders; every change is the store's compare-and-set."""

    def __init__(
        self, jobs: JobStore, reader: JobReader, ring: EventRing, aftermath: Aftermath
    ) -> None:
        self._jobs = jobs
        self._reader = reader
        self._ring = ring
        self._aftermath = aftermath

    async def cancel(self, job_id: str) -> Job:
        """Cancel a waiting job, or ask a running one to end; raises NotFound, IllegalMove."""
        before = await self._get(job_id)
        now = await self._jobs.cancel(job_id)
        if now.state is State.CANCELLED:
            self._aftermath.cancelled(before, now)
            self._ring.publish(EventKind.CANCELLED, job=now)
        else:
            self._ring.publish(EventKind.CANCEL_REQUESTED, job=now)
            self._aftermath.cancel_requested(now)
        return now

    async def retry(self, job_id: str) -> Job:
        """Give a failed job a new run, or make a scheduled one due; raises NotFound, IllegalMove.

        Whoever keeps the events learns of it through `queued`.
        """
        before = await self._get(job_id)
        kinds = {State.FAILED: EventKind.REQUEUED, State.SCHEDULED: EventKind.DUE}
        if before.state in kinds:
            [now] = await self._jobs.requeue([job_id])
            if now is not None:
                self._aftermath.queued([now], before.state, kinds[before.state])
                return now
            before = await self._get(job_id)
        raise IllegalMove(f"a job that is {before.state} cannot be retried", state=before.state)

    async def _get(self, job_id: str) -> Job:
        job = await self._reader.get(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id[:80]!r}")
        return job
