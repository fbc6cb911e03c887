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
    Readiness,
    ReadinessCheck,
    Stats,
    Submission,
    TypeList,
    TypeView,
    WaitingCounts,
    WorkerList,
    WorkerView,
)
from hermesd.client.bulk import JobSelection, Selection
from hermesd.client.calls import DlqFilters, Filters, JobFilters, NewJob, SubmitOptions
from hermesd.client.dead import Changed, ErrorGroup, ErrorGroupList, Purged, Requeued
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
from hermesd.client.orders import (
    DrainForecast,
    JobForecast,
    OrderAnswer,
    OrderedWorker,
    QueueList,
    QueueView,
    Said,
    Which,
)
from hermesd.client.schedules import FireView, ScheduleList, ScheduleOptions, ScheduleView

__all__ = [
    "Accepted",
    "ApiError",
    "AsyncClient",
    "BadAnswer",
    "BatchSubmission",
    "Changed",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "DlqFilters",
    "DrainForecast",
    "ErrorGroup",
    "ErrorGroupList",
    "Event",
    "EventList",
    "Filters",
    "FireView",
    "Health",
    "JobFilters",
    "JobForecast",
    "JobPage",
    "JobSelection",
    "JobView",
    "LogLine",
    "LogPage",
    "MachineView",
    "NewJob",
    "OrderAnswer",
    "OrderedWorker",
    "Purged",
    "QueueList",
    "QueueView",
    "Readiness",
    "ReadinessCheck",
    "RejectedError",
    "Requeued",
    "Said",
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
    "Which",
    "WorkerList",
    "WorkerView",
]
