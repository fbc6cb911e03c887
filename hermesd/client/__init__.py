"""The Python client of the HTTP API, `Client` for threads, `AsyncClient` for asyncio and trio.

    calls ──► session (Client | AsyncClient) ──► reading ──► answers
                  │ a fault
                  └──► retry: again after a pause, or raise

`calls`, `reading`, `retry` and `feed` hold every decision and do no I/O; the two clients are thin
loops around them. Nothing here needs the daemon: only msgspec, httpx and `hermesd.core`.
"""

from hermesd.client.answers import (
    Accepted,
    BatchSubmission,
    Event,
    EventList,
    Health,
    JobPage,
    JobView,
    LogLine,
    LogPage,
    MachineView,
    Purged,
    Readiness,
    ReadinessCheck,
    Requeued,
    Stats,
    Submission,
    TypeList,
    TypeView,
    WaitingCounts,
    WorkerList,
    WorkerView,
)
from hermesd.client.calls import JobFilters, NewJob, Selection, SubmitOptions
from hermesd.client.faults import (
    ApiError,
    BadAnswer,
    ClientError,
    ConnectionFailed,
    RejectedError,
    UnavailableError,
    UnknownOutcomeError,
    WaitTimeout,
)
from hermesd.client.feed import StreamedEvent
from hermesd.client.in_tasks import AsyncClient
from hermesd.client.in_threads import Client
from hermesd.client.schedules import FireView, ScheduleList, ScheduleOptions, ScheduleView

__all__ = [
    "Accepted",
    "ApiError",
    "AsyncClient",
    "BadAnswer",
    "BatchSubmission",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "Event",
    "EventList",
    "FireView",
    "Health",
    "JobFilters",
    "JobPage",
    "JobView",
    "LogLine",
    "LogPage",
    "MachineView",
    "NewJob",
    "Purged",
    "Readiness",
    "ReadinessCheck",
    "RejectedError",
    "Requeued",
    "ScheduleList",
    "ScheduleOptions",
    "ScheduleView",
    "Selection",
    "Stats",
    "StreamedEvent",
    "Submission",
    "SubmitOptions",
    "TypeList",
    "TypeView",
    "UnavailableError",
    "UnknownOutcomeError",
    "WaitTimeout",
    "WaitingCounts",
    "WorkerList",
    "WorkerView",
]
