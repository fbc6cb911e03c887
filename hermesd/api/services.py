"""What the HTTP routes are served from, handed in by the role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from hermesd.api.ages import Ages
from hermesd.api.bulk import Bulk
from hermesd.api.catalogue import Catalogue
from hermesd.api.events import EventRing
from hermesd.api.forecaster import Forecaster
from hermesd.api.history import Historian
from hermesd.api.operate import Operator
from hermesd.api.ordering import Ordering
from hermesd.api.queuebook import QueueBook
from hermesd.api.queuefigures import QueueFigures
from hermesd.api.schedules import ScheduleBook
from hermesd.api.submit import JobRequest, SubmitAnswer
from hermesd.api.summaries import Summaries
from hermesd.config import Config
from hermesd.config.live import Live
from hermesd.core.records import Counts
from hermesd.observe.metrics import ApiMetrics
from hermesd.observe.tracing import Tracing
from hermesd.ports import Clock, FleetView, JobQueue, JobReader, Notes


class TakesJobs(Protocol):
    """Where submits go (api/submit.py)."""

    async def submit(
        self,
        requests: Sequence[JobRequest],
        *,
        principal: str = "",
        trace_context: str | None = None,
    ) -> Sequence[SubmitAnswer]:
        """See Submitter.submit."""

    def begin(
        self, request: JobRequest, answer: Callable[[SubmitAnswer | Exception], None]
    ) -> bool:
        """See Submitter.begin."""


class KnowsEnds(Protocol):
    """Who knows when a run has ended."""

    async def wait_ended(self, job_id: str, seconds: float) -> None:
        """Return when the job's run has ended at this api, or after `seconds`."""


class KnowsBroker(Protocol):
    """How the broker is; each answers why it is not as it should be, empty where it is."""

    def broker_fault(self) -> str:
        """Why it takes no messages."""

    def topology_fault(self) -> str:
        """What is not as it should be in it."""


@dataclass(frozen=True, kw_only=True)
class ApiServices:
    """One api's services; `started_at` is in UTC seconds.

    `store_check` raises StoreUnavailable; `counts` answers from memory; `broker` is None where
    the queue needs none.
    """

    live: Live
    clock: Clock
    log: FilteringBoundLogger
    submitter: TakesJobs
    recorder: KnowsEnds
    operator: Operator
    bulk: Bulk
    reader: JobReader
    notes: Notes
    schedules: ScheduleBook
    ordering: Ordering
    forecaster: Forecaster
    queues: QueueBook
    queue_figures: QueueFigures
    catalogue: Catalogue
    ring: EventRing
    fleet: FleetView
    ages: Ages
    history: Historian
    summaries: Summaries
    metrics: ApiMetrics
    queue: JobQueue
    store_check: Callable[[], Awaitable[None]]
    counts: Callable[[], Counts]
    started_at: float
    api_name: str
    role: str
    broker: KnowsBroker | None = None
    tracing: Tracing | None = None

    @property
    def config(self) -> Config:
        """The configuration in effect."""
        return self.live.config
