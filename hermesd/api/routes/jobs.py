"""Reading, cancelling and retrying jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from litestar import Response, delete, get, post

from hermesd.api.attempts import attempts_of
from hermesd.api.openapi import DOC, Doc
from hermesd.api.present import (
    NOTHING_TOLD,
    event_view,
    job_view,
    log_line_view,
    page_view,
    told_view,
)
from hermesd.api.routes.access import HttpRequest, answer, services_of
from hermesd.api.routes.query import JobQuery, LogQuery, Query, WaitQuery, read_query
from hermesd.api.services import ApiServices
from hermesd.api.views import AttemptList, EventList, JobAnswer, JobPageView, JobView, LogView
from hermesd.core.errors import IllegalMove, InvalidValue, NotFound, StoreUnavailable
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.records import EventRecord
from hermesd.core.states import State

# A run can end elsewhere too (another api, an operator), so a waiting reader looks this often.
LOOK_AGAIN_SECONDS: Final = 1.0
_ENDS: Final = {
    State.SUCCEEDED: EventKind.SUCCEEDED,
    State.FAILED: EventKind.FAILED,
    State.CANCELLED: EventKind.CANCELLED,
}


@get(
    "/jobs",
    opt={
        DOC: Doc(
            summary="List jobs, newest first",
            query=JobQuery,
            answers={200: JobPageView},
            errors=(InvalidValue, StoreUnavailable),
        )
    },
)
async def list_jobs(request: HttpRequest) -> Response[JobPageView]:
    """One page of jobs."""
    query = read_query(request.scope["query_string"], JobQuery)
    page = await services_of(request).reader.page(query.wanted(), query.cursor, query.limit)
    jobs = await _told_views(services_of(request), page.jobs)
    return answer(page_view(page, jobs))


@get(
    "/jobs/{job_id:str}",
    opt={
        DOC: Doc(
            summary="Show a job, at once or when its run has ended",
            query=WaitQuery,
            answers={200: JobAnswer},
            errors=(NotFound, InvalidValue, StoreUnavailable),
        )
    },
)
async def show_job(request: HttpRequest) -> Response[JobAnswer]:
    """One job."""
    query = read_query(request.scope["query_string"], WaitQuery)
    services = services_of(request)
    job = await _when_ended(services, request.path_params["job_id"], query.wait)
    (view,) = await _told_views(services, (job,))
    return answer(JobAnswer(job=view))


@get(
    "/jobs/{job_id:str}/events",
    opt={
        DOC: Doc(
            summary="The history of a job, oldest first",
            query=Query,
            answers={200: EventList},
            errors=(NotFound, InvalidValue, StoreUnavailable),
        )
    },
)
async def show_history(request: HttpRequest) -> Response[EventList]:
    """What happened to one job."""
    read_query(request.scope["query_string"], Query)
    services = services_of(request)
    job = await _get(services, request.path_params["job_id"])
    events = history(job, await services.reader.events(job.id))
    return answer(EventList(count=len(events), events=[event_view(event) for event in events]))


@get(
    "/jobs/{job_id:str}/attempts",
    opt={
        DOC: Doc(
            summary="The attempts of a job, oldest first: where, when and how each ended",
            query=Query,
            answers={200: AttemptList},
            errors=(NotFound, InvalidValue, StoreUnavailable),
        )
    },
)
async def show_attempts(request: HttpRequest) -> Response[AttemptList]:
    """What became of each attempt."""
    read_query(request.scope["query_string"], Query)
    services = services_of(request)
    job = await _get(services, request.path_params["job_id"])
    return answer(AttemptList(attempts=attempts_of(job, await services.reader.events(job.id))))


@get(
    "/jobs/{job_id:str}/logs",
    opt={
        DOC: Doc(
            summary="The log lines of a job, oldest first",
            query=LogQuery,
            answers={200: LogView},
            errors=(NotFound, InvalidValue, StoreUnavailable),
        )
    },
)
async def show_logs(request: HttpRequest) -> Response[LogView]:
    """What a job's handler has logged."""
    query = read_query(request.scope["query_string"], LogQuery)
    services = services_of(request)
    job = await _get(services, request.path_params["job_id"])
    found = await services.notes.lines(job.id, query.after, query.limit + 1)
    lines, told = found[: query.limit], await services.notes.told((job.id,))
    view = LogView(
        lines=[log_line_view(line) for line in lines],
        next_after=lines[-1].number if len(found) > len(lines) else None,
        dropped=told.get(job.id, NOTHING_TOLD).logs_dropped,
    )
    return answer(view)


@post(
    "/jobs/{job_id:str}/retry",
    opt={
        DOC: Doc(
            summary="Give a failed job a new run, or make a scheduled one due now",
            query=Query,
            answers={202: JobAnswer},
            errors=(NotFound, IllegalMove, StoreUnavailable),
        )
    },
)
async def retry_job(request: HttpRequest) -> Response[JobAnswer]:
    """Run a job again, or at once."""
    read_query(request.scope["query_string"], Query)
    job = await services_of(request).operator.retry(request.path_params["job_id"])
    return answer(JobAnswer(job=job_view(job)), 202)


@delete(
    "/jobs/{job_id:str}",
    status_code=200,
    opt={
        DOC: Doc(
            summary="Cancel a waiting job (200), or ask a running one to end (202)",
            query=Query,
            answers={200: JobAnswer, 202: JobAnswer},
            errors=(NotFound, IllegalMove, StoreUnavailable),
        )
    },
)
async def cancel_job(request: HttpRequest) -> Response[JobAnswer]:
    """Cancel a job."""
    read_query(request.scope["query_string"], Query)
    job = await services_of(request).operator.cancel(request.path_params["job_id"])
    return answer(JobAnswer(job=job_view(job)), 200 if job.state is State.CANCELLED else 202)


def history(job: Job, appended: Sequence[EventRecord]) -> list[EventRecord]:
    """The normal history, which the timestamps tell, merged with the appended events."""
    told = {(event.kind, event.run) for event in appended}
    derived = [_event(job, EventKind.SUBMITTED, job.created_at)]
    if job.started_at is not None:
        derived.append(_event(job, EventKind.STARTED, job.started_at))
    end = _ENDS.get(job.state)
    if end is not None and job.finished_at is not None and (end, job.run) not in told:
        derived.append(_event(job, end, job.finished_at))
    return sorted([*derived, *appended], key=lambda event: event.time)


def _event(job: Job, kind: EventKind, time: float) -> EventRecord:
    error = job.error if kind in (EventKind.FAILED, EventKind.CANCELLED) else None
    return EventRecord(
        time=time,
        job_id=job.id,
        job_type=job.type,
        kind=kind,
        worker_id=None if kind is EventKind.SUBMITTED else job.worker_id,
        message=f"{error.kind}: {error.message}" if error else "",
        run=1 if kind is EventKind.SUBMITTED else job.run,
        attempt=0 if kind is EventKind.SUBMITTED else job.attempts,
    )


async def _when_ended(services: ApiServices, job_id: str, wait_seconds: float) -> Job:
    """The job when its run has ended, or as it is after `wait_seconds`."""
    give_up_at = services.clock.monotonic() + wait_seconds
    while True:
        job = await _get(services, job_id)
        left = give_up_at - services.clock.monotonic()
        if job.state.terminal or left <= 0:
            return job
        await services.recorder.wait_ended(job_id, min(left, LOOK_AGAIN_SECONDS))


async def _told_views(services: ApiServices, jobs: Sequence[Job]) -> list[JobView]:
    """Jobs with what they have told; one that has never begun is not asked for."""
    begun = [job.id for job in jobs if job.attempts or job.run > 1]
    told = await services.notes.told(begun) if begun else {}
    return [told_view(job, told.get(job.id)) for job in jobs]


async def _get(services: ApiServices, job_id: str) -> Job:
    job = await services.reader.get(job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id[:80]!r}")
    return job


JOB_HANDLERS: Final = (
    list_jobs,
    show_job,
    show_history,
    show_attempts,
    show_logs,
    retry_job,
    cancel_job,
)
