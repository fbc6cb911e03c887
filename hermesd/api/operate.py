"""What operators do to jobs: cancel, retry, requeue, purge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from hermesd.api.events import EventRing
from hermesd.core.errors import IllegalMove, NotFound
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.records import JobFilter
from hermesd.core.states import State
from hermesd.ports import JobReader, JobStore

CHUNK: Final = 500
# Ids kept in memory for one request (about 10 MB); the answer tells how many more there are.
MAX_SELECTED: Final = 100_000


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of the dead-letter queue: these `ids`, or (None) all that fit `wanted`."""

    ids: tuple[str, ...] | None = None
    wanted: JobFilter = JobFilter()


class BulkResult(NamedTuple):
    """How many dead-lettered jobs were selected, and how many were changed."""

    matched: int
    changed: int


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

    async def requeue(self, selection: Selection, *, dry_run: bool = False) -> BulkResult:
        """Give the selected failed jobs a new run, each at most once."""
        matched, chunks = await self._select(selection)
        changed = 0
        for chunk in () if dry_run else chunks:
            queued = [job for job in await self._jobs.requeue(chunk) if job is not None]
            self._aftermath.queued(queued, State.FAILED, EventKind.REQUEUED)
            changed += len(queued)
        return BulkResult(matched, changed)

    async def purge(self, selection: Selection, *, dry_run: bool = False) -> BulkResult:
        """Delete the selected failed jobs for good."""
        matched, chunks = await self._select(selection)
        changed = 0
        for chunk in () if dry_run else chunks:
            purged = await self._jobs.purge(chunk)
            self._aftermath.purged(purged)
            changed += purged
        return BulkResult(matched, changed)

    async def _get(self, job_id: str) -> Job:
        job = await self._reader.get(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id[:80]!r}")
        return job

    async def _select(self, selection: Selection) -> tuple[int, Iterator[Sequence[str]]]:
        """How many jobs are meant, and their ids in chunks.

        The ids are read before the first change, so that a job which fails again meanwhile is
        not met twice.
        """
        dead = msgspec.structs.replace(selection.wanted, states=(State.FAILED,))
        if selection.ids is None:
            found = await self._reader.matching_ids(dead, MAX_SELECTED)
            full = len(found) >= MAX_SELECTED
            return await self._reader.count(dead) if full else len(found), _chunks(found)
        ids: list[str] = []
        for chunk in _chunks(list(dict.fromkeys(selection.ids))):
            narrowed = msgspec.structs.replace(dead, ids=tuple(chunk))
            ids.extend(await self._reader.matching_ids(narrowed, CHUNK))
        return len(ids), _chunks(ids)


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
