"""From jobs, events and workers to the views that clients get."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET

from hermesd.api.bulk_views import ErrorGroupList, ErrorGroupView
from hermesd.api.submit import SubmitAnswer
from hermesd.api.views import (
    BatchItemView,
    BatchView,
    ErrorView,
    EventView,
    JobPageView,
    JobView,
    LogLineView,
    MachineView,
    SubmitView,
    WorkerList,
    WorkerView,
)
from hermesd.core.fleet import FleetEntry
from hermesd.core.job import ErrorInfo, Job
from hermesd.core.notes import KeptLine, Told
from hermesd.core.records import EventRecord, JobPage
from hermesd.core.searches import ErrorGroups


def rfc3339(seconds: float) -> str:
    """UTC seconds as RFC 3339 with microseconds."""
    micros = round(seconds * 1_000_000)
    return f"{_to_the_second(micros // 1_000_000)}.{micros % 1_000_000:06d}Z"


@lru_cache(maxsize=16)  # times that are shown are often of the same second
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def time_or_none(seconds: float | None) -> str | None:
    """The same; None where there is no time."""
    return None if seconds is None else rfc3339(seconds)


NOTHING_TOLD: Final = Told()


def told_view(job: Job, told: Told | None) -> JobView:
    """A job as clients see it, with what it has told of itself (None: nothing)."""
    told = told or NOTHING_TOLD
    progress = told.progress
    return msgspec.structs.replace(
        job_view(job),
        progress=None if progress is None else progress.fraction,
        progress_note=None if progress is None else progress.note,
        progress_at=None if progress is None else rfc3339(progress.at),
        logs_dropped=told.logs_dropped,
    )


def log_line_view(line: KeptLine) -> LogLineView:
    """A line of a job's log."""
    return LogLineView(
        number=line.number,
        time=rfc3339(line.at),
        run=line.run,
        attempt=line.attempt,
        level=line.level,
        line=line.line,
    )


def job_view(job: Job) -> JobView:
    """A job as it was submitted."""
    created, started_at = rfc3339(job.created_at), job.started_at
    return JobView(
        id=job.id,
        type=job.type,
        payload=job.payload,
        queue=job.queue,
        priority=job.priority,
        state=job.state,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        timeout=job.timeout,
        labels=job.labels,
        run=job.run,
        rung=job.rung,
        worker_id=job.worker_id,
        cancel_requested=job.cancel_requested,
        crash_count=job.crash_count,
        created_at=created,
        updated_at=created if job.updated_at == job.created_at else rfc3339(job.updated_at),
        run_at=None if job.run_at is None else rfc3339(job.run_at),
        started_at=created if started_at == job.created_at else time_or_none(started_at),
        finished_at=None if job.finished_at is None else rfc3339(job.finished_at),
        result=job.result,
        error=None if job.error is None else error_view(job.error),
    )


def error_view(error: ErrorInfo | None) -> ErrorView | None:
    """Why something failed; None where it did not."""
    if error is None:
        return None
    return ErrorView(kind=error.kind, message=error.message, traceback=error.traceback)


def page_view(page: JobPage, jobs: Sequence[JobView]) -> JobPageView:
    """A page with the views of its jobs."""
    searched = time_or_none(page.searched_to)
    return JobPageView(jobs=jobs, next_cursor=page.next_cursor, searched_to=searched)


def groups_view(found: ErrorGroups, limit: int) -> ErrorGroupList:
    """The first groups of dead letters, and what there is in all."""
    groups = [
        ErrorGroupView(
            type=group.type,
            error_kind=group.error_kind,
            error=group.error,
            count=group.count,
            newest=rfc3339(group.newest),
            oldest=rfc3339(group.oldest),
            newest_id=group.newest_id,
        )
        for group in found.groups[:limit]
    ]
    return ErrorGroupList(
        groups=groups,
        jobs=sum(group.count for group in found.groups),
        complete=found.complete,
        more_groups=len(found.groups) - len(groups),
    )


def submit_view(answer: SubmitAnswer) -> SubmitView:
    """The answer on one submit."""
    return SubmitView(
        job=job_view(answer.job),
        routed=answer.routed,
        worker_id=answer.worker_id or UNSET,
        note=answer.note or UNSET,
        repeated=answer.repeated or UNSET,
    )


def batch_view(answers: Sequence[SubmitAnswer]) -> BatchView:
    """The answer on a batch."""
    repeated = direct = scheduled = 0
    items = []
    for answer in answers:
        if answer.repeated:
            repeated += 1
        elif answer.routed == "direct":
            direct += 1
        elif answer.routed == "scheduled":
            scheduled += 1
        item = BatchItemView(
            id=answer.job.id,
            routed=answer.routed,
            worker_id=answer.worker_id or UNSET,
            note=answer.note or UNSET,
            repeated=answer.repeated or UNSET,
        )
        items.append(item)
    return BatchView(
        count=len(answers),
        direct=direct,
        queued=len(answers) - repeated - direct - scheduled,
        scheduled=scheduled,
        repeated=repeated,
        jobs=items,
    )


def event_view(event: EventRecord) -> EventView:
    """An event as clients see it."""
    return EventView(
        time=rfc3339(event.time),
        job_id=event.job_id,
        job_type=event.job_type,
        kind=event.kind,
        worker_id=event.worker_id,
        message=event.message,
        run=event.run,
        attempt=event.attempt,
    )


def fleet_view(entries: Sequence[FleetEntry]) -> WorkerList:
    """The fleet, and its sums by host."""
    machines: dict[str, MachineView] = {}
    for entry in entries:
        host = machines.get(entry.machine, MachineView(workers=0, slots=0, free=0))
        machines[entry.machine] = MachineView(
            workers=host.workers + 1,
            slots=host.slots + sum(entry.slots.values()),
            free=host.free + sum(entry.free.values()),
        )
    return WorkerList(
        count=len(entries),
        total_slots=sum(machine.slots for machine in machines.values()),
        total_workers=len(entries),
        machines=machines,
        workers=[WorkerView(**msgspec.structs.asdict(entry)) for entry in entries],
    )
