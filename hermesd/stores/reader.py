"""The JobReader port: each question goes to a reading thread."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from hermesd.core.job import Job
from hermesd.core.records import (
    Counts,
    EndedPage,
    EndedRange,
    EventRecord,
    JobFilter,
    JobPage,
)
from hermesd.core.searches import ErrorGroups, Reach, Walked
from hermesd.core.states import State
from hermesd.stores.cursor import job_id_of
from hermesd.stores.questions import JobQuestions, Reads


class StoredReader:
    """JobReader; see `ports.JobReader` for the contract of each method."""

    def __init__(self, reads: Reads, ask: JobQuestions) -> None:
        self._reads = reads
        self._ask = ask

    async def get(self, job_id: str) -> Job | None:
        """One job, or None."""
        return await self._reads.run(partial(self._ask.get, job_id))

    async def get_many(self, job_ids: Sequence[str]) -> Sequence[Job]:
        """Those that exist, in brief."""
        if not job_ids:
            return ()
        return await self._reads.run(partial(self._ask.get_many, job_ids))

    async def page(self, wanted: JobFilter, cursor: str | None, limit: int) -> JobPage:
        """Newest first."""
        if cursor is not None:
            job_id_of(cursor)
        return await self._reads.run(partial(self._ask.page, wanted, cursor, max(limit, 1)))

    async def walk(self, wanted: JobFilter, reach: Reach) -> Walked:
        """Oldest first."""
        return await self._reads.run(partial(self._ask.walk, wanted, reach))

    async def error_groups(self, wanted: JobFilter) -> ErrorGroups:
        """Of the newest failed jobs."""
        dead = replace(wanted, states=(State.FAILED,))
        return await self._reads.run(partial(self._ask.error_groups, dead))

    async def counts(self, *, live: bool = False) -> Counts:
        """Reads the whole table once, or only the indexes of live states."""
        return await self._reads.run(partial(self._ask.counts, live))

    async def events(self, job_id: str) -> Sequence[EventRecord]:
        """Oldest first."""
        return await self._reads.run(partial(self._ask.events, job_id))

    async def assigned(self, assigned_by: str) -> Sequence[Job]:
        """Running jobs of one api, in brief."""
        return await self._reads.run(partial(self._ask.assigned, assigned_by))

    async def misowned(self, limit: int) -> Sequence[Job]:
        """Live jobs whose owner does not fit their state, in brief."""
        return await self._reads.run(partial(self._ask.misowned, limit))

    async def ended(self, wanted: EndedRange) -> EndedPage:
        """Those that ended, among the next ones by id."""
        return await self._reads.run(partial(self._ask.ended, wanted))
