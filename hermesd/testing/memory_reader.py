"""Questions about jobs in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import trio
from msgspec.structs import replace

from hermesd.core.errorgroups import Bunch, head_of, kinship, merged
from hermesd.core.job import ErrorInfo, Job, fits_owner
from hermesd.core.notes import LINE_BYTES
from hermesd.core.records import (
    Counts,
    EndedJob,
    EndedPage,
    EndedRange,
    EventRecord,
    JobFilter,
    JobPage,
)
from hermesd.core.searches import ErrorGroups, Found, Reach, Walked
from hermesd.core.states import State
from hermesd.stores.cursor import cursor_after, job_id_of
from hermesd.stores.micros import whole
from hermesd.stores.portion import portion
from hermesd.stores.search import ascii_lower
from hermesd.testing.memory_contents import Contents, brief, size_of


def fits(job: Job, wanted: JobFilter) -> bool:
    """Whether a job is what a filter asks for."""
    return (
        (not wanted.states or job.state in wanted.states)
        and (not wanted.types or job.type in wanted.types)
        and (not wanted.queues or job.queue in wanted.queues)
        and (not wanted.ids or job.id in wanted.ids)
        and (wanted.worker_id is None or job.worker_id == wanted.worker_id)
        and all(job.labels.get(name) == value for name, value in wanted.labels)
        and (not wanted.priorities or job.priority in wanted.priorities)
        and _within(job.created_at, wanted.created_after, wanted.created_before)
        and _within(job.finished_at, wanted.finished_after, wanted.finished_before)
        and (not wanted.text or _has(job, ascii_lower(wanted.text)))
        and _failed_so(job, wanted)
    )


def _within(time: float | None, after: float | None, before: float | None) -> bool:
    if after is None and before is None:
        return True
    return (
        time is not None
        and (after is None or time >= whole(after))
        and (before is None or time < whole(before))
    )


def _has(job: Job, text: str) -> bool:
    error = job.error or ErrorInfo(kind="")
    texts = (job.id, error.kind, error.message, error.traceback)
    return any(text in ascii_lower(one) for one in texts)


def _failed_so(job: Job, wanted: JobFilter) -> bool:
    if wanted.error_kind is None and wanted.error is None:
        return True
    if job.error is None or wanted.error_kind not in (None, job.error.kind):
        return False
    return wanted.error is None or kinship(head_of(job.error)).error == wanted.error


class MemoryReader:
    """JobReader; see `ports.JobReader`."""

    def __init__(self, contents: Contents) -> None:
        self._held = contents

    async def get(self, job_id: str) -> Job | None:
        """One job, or None."""
        await trio.lowlevel.checkpoint()
        return self._held.jobs.get(job_id)

    async def get_many(self, job_ids: Sequence[str]) -> Sequence[Job]:
        """Those that exist, in brief."""
        await trio.lowlevel.checkpoint()
        return [brief(self._held.jobs[i]) for i in dict.fromkeys(job_ids) if i in self._held.jobs]

    async def page(self, wanted: JobFilter, cursor: str | None, limit: int) -> JobPage:
        """Newest first."""
        await trio.lowlevel.checkpoint()
        below = None if cursor is None else job_id_of(cursor)
        fitting = [job for job in self._fitting(wanted) if below is None or job.id < below]
        fitting.reverse()
        limit = max(limit, 1)
        ids = portion((job.id, size_of(job)) for job in fitting[:limit])
        jobs = tuple(fitting[: len(ids)])
        more = len(fitting) > len(jobs)
        return JobPage(jobs=jobs, next_cursor=cursor_after(jobs[-1].id) if more else None)

    async def walk(self, wanted: JobFilter, reach: Reach) -> Walked:
        """The jobs of a stretch that fit, oldest first; its rows are of the wanted states."""
        await trio.lowlevel.checkpoint()
        sieve = JobFilter(states=wanted.states)
        fitting = self._fitting(wanted if wanted.ids else sieve)
        ahead = [job for job in fitting if reach.start <= job.id <= reach.until]
        rows = len(ahead) if wanted.ids else reach.rows
        jobs = tuple(
            Found(id=job.id, state=job.state, size_bytes=len(bytes(job.payload)))
            for job in ahead[:rows]
            if fits(job, wanted)
        )
        return Walked(jobs=jobs, next_start=ahead[rows].id if len(ahead) > rows else None)

    async def error_groups(self, wanted: JobFilter) -> ErrorGroups:
        """Of all failed jobs."""
        await trio.lowlevel.checkpoint()
        bunches = [
            Bunch(
                type=job.type,
                head=head_of(job.error) if job.error else "",
                count=1,
                newest=job.finished_at or 0.0,
                oldest=job.finished_at or 0.0,
                newest_id=job.id,
            )
            for job in self._fitting(replace(wanted, states=(State.FAILED,)))
        ]
        return ErrorGroups(groups=tuple(merged(bunches)), complete=True)

    async def counts(self, *, live: bool = False) -> Counts:
        """By state (`live`: by those that are no end), and what waits."""
        await trio.lowlevel.checkpoint()
        jobs = self._held.jobs.values()
        states = Counter(job.state for job in jobs)
        waiting = Counter(
            (job.queue, job.type, job.priority) for job in jobs if job.state is State.QUEUED
        )
        wanted = [state for state in State if not (live and state.terminal)]
        return Counts(states={state: states[state] for state in wanted}, waiting=dict(waiting))

    async def events(self, job_id: str) -> Sequence[EventRecord]:
        """Oldest first."""
        await trio.lowlevel.checkpoint()
        return [one for one in self._held.events if one.job_id == job_id]

    async def assigned(self, assigned_by: str) -> Sequence[Job]:
        """Running jobs of one api, in brief."""
        await trio.lowlevel.checkpoint()
        jobs = self._held.jobs.values()
        return [brief(j) for j in jobs if j.state is State.RUNNING and j.assigned_by == assigned_by]

    async def misowned(self, limit: int) -> Sequence[Job]:
        """Live jobs whose owner does not fit their state, in brief."""
        await trio.lowlevel.checkpoint()
        return [brief(job) for job in self._held.jobs.values() if not fits_owner(job)][:limit]

    async def ended(self, wanted: EndedRange) -> EndedPage:
        """Those that ended, among the next ones by id."""
        await trio.lowlevel.checkpoint()
        ids = sorted(i for i in self._held.jobs if wanted.after < i < wanted.until)[: wanted.limit]
        jobs = [
            EndedJob(
                id=job.id,
                type=job.type,
                state=job.state,
                finished_at=job.finished_at,
                size_bytes=size_of(job) + LINE_BYTES * len(self._held.lines.get(job.id, ())),
            )
            for job in map(self._held.jobs.__getitem__, ids)
            if job.finished_at is not None
            and job.state in wanted.before
            and job.finished_at <= whole(wanted.before[job.state])
        ]
        return EndedPage(jobs=tuple(jobs), last_id=ids[-1] if ids else None)

    def _fitting(self, wanted: JobFilter) -> list[Job]:
        return sorted(
            (job for job in self._held.jobs.values() if fits(job, wanted)), key=lambda job: job.id
        )
