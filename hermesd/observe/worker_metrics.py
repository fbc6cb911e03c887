"""The Prometheus metrics of a worker; see observe/metrics.py for those of an api."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from hermesd.core.broker import LineStatus
from hermesd.observe.instruments import DURATIONS, SIZES, Family, View
from hermesd.observe.role_metrics import RoleMetrics

_CALLS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class WorkerGauges(Protocol):
    """What a worker's gauges are read from at a scrape."""

    def slots(self) -> Mapping[str, int]:
        """Slots by kind."""

    def free(self) -> Mapping[str, int]:
        """Free slots by kind."""

    def running(self) -> Mapping[str, int]:
        """Jobs whose handlers run, by kind."""

    def children(self) -> int:
        """Child processes that are at work or warm."""

    def unreported(self) -> int:
        """Outcomes that no api has taken yet."""

    def apis(self) -> int:
        """Apis that answer."""

    def draining(self) -> bool:
        """Whether no new jobs are taken, since it is told to leave."""

    def degraded(self) -> bool:
        """Whether jobs are run without an api."""

    def broker(self) -> LineStatus | None:
        """How the line to the broker is; None where there is none."""


class WorkerMetrics(RoleMetrics):
    """What a worker measures; `outcome` labels are outcome kinds."""

    def __init__(
        self, registry: CollectorRegistry | None = None, *, process_collectors: bool = False
    ) -> None:
        super().__init__("hermesd_worker", registry, process_collectors)
        self._add_jobs()
        self._add_messages()

    def _add_jobs(self) -> None:
        self._started = self._counter("jobs_started", "Handlers started.", ("type",))
        self._ended = self._counter(
            "jobs_ended", "Handlers ended, by outcome.", ("type", "outcome")
        )
        self._durations = self._histogram(
            "job_duration_seconds", "Time in a handler.", DURATIONS, ("type",)
        )
        self._received = self._histogram(
            "dispatch_batch_jobs", "Jobs in a dispatch POST received.", SIZES
        )
        self._reported = self._histogram("report_outcomes", "Outcomes in a report.", SIZES)
        self._report_seconds = self._histogram(
            "report_seconds", "From a report to an api's answer.", _CALLS
        )
        self._degraded = self._counter("degraded_runs", "Jobs run without an api.", ("type",))

    def _add_messages(self) -> None:
        counter = self._counter
        self._pulled = counter(
            "messages_pulled", "Messages taken from the broker.", ("queue", "band")
        )
        self._redelivered = counter(
            "messages_redelivered", "Of those, messages that were handed out before.", ("queue",)
        )
        self._turned_down = counter(
            "messages_not_run",
            "Messages given back or rejected unclaimed, by reason.",
            ("reason",),
        )
        self._claims = counter("claims", "Claims by verdict.", ("verdict",))
        self._stalls = counter(
            "pull_restarts", "Times that pulling had to be begun anew.", ("queue",)
        )

    def started(self, job_type: str, jobs: int = 1) -> None:
        """So many handlers are started."""
        self._started.add((self._types.of(job_type),), jobs)

    def ended(self, job_type: str, outcome: str, seconds: Sequence[float]) -> None:
        """Handlers ended so, after so long each."""
        label = self._types.of(job_type)
        self._ended.add((label, outcome), len(seconds))
        self._durations.observe_each(seconds, (label,))

    def received(self, jobs: int) -> None:
        """A dispatch POST brought so many jobs."""
        self._received.observe(jobs)

    def reported(self, outcomes: int, seconds: float) -> None:
        """A report with so many outcomes was taken by an api, after so long."""
        self._reported.observe(outcomes)
        self._report_seconds.observe(seconds)

    def pulled(self, queue: str, band: str, *, redelivered: bool) -> None:
        """A message was taken from the broker."""
        self._pulled.add((queue, band))
        if redelivered:
            self._redelivered.add((queue,))

    def not_run(self, reason: str, messages: int = 1) -> None:
        """So many messages went back: no-slot, given-back; or were rejected: unknown-type, ..."""
        self._turned_down.add((reason,), messages)

    def claimed(self, verdict: str) -> None:
        """A claim was answered; `doubled` is a grant of what this worker has already."""
        self._claims.add((verdict,))

    def degraded(self, job_type: str) -> None:
        """A job was begun without an api."""
        self._degraded.add((self._types.of(job_type),))

    def pull_restarted(self, queue: str) -> None:
        """Pulling was begun anew, since it did not take what was ready in that queue."""
        self._stalls.add((queue,))

    def watch(self, gauges: WorkerGauges) -> None:
        """Show what `gauges` says at each scrape."""
        self._add(View((*_BY_KIND, *_SINGLE), lambda: _read(gauges)))
        self._add(View(_BROKER, lambda: _read_broker(gauges)))


_BY_KIND: Final = (
    Family("gauge", "hermesd_worker_slots", "Slots.", ("kind",)),
    Family("gauge", "hermesd_worker_slots_free", "Free slots.", ("kind",)),
    Family("gauge", "hermesd_worker_jobs_running", "Jobs whose handlers run.", ("kind",)),
)
_SINGLE: Final = (
    Family("gauge", "hermesd_worker_child_processes", "Child processes, at work or warm."),
    Family("gauge", "hermesd_worker_unreported_outcomes", "Outcomes that no api has taken yet."),
    Family("gauge", "hermesd_worker_apis_answering", "Apis that answer this worker."),
    Family("gauge", "hermesd_worker_draining", "1: it was told to leave, and ends its jobs."),
    Family("gauge", "hermesd_worker_degraded", "1: jobs are run without an api."),
)
_BROKER: Final = (
    Family("gauge", "hermesd_worker_broker_serving", "1: the broker can be used."),
    Family("gauge", "hermesd_worker_broker_blocked", "1: the broker takes no messages."),
)


def _read(gauges: WorkerGauges) -> Iterator[Metric]:
    by_kind = (gauges.slots(), gauges.free(), gauges.running())
    for family, numbers in zip(_BY_KIND, by_kind, strict=True):
        yield family.gauges(((str(kind),), number) for kind, number in numbers.items())
    single = (
        gauges.children(),
        gauges.unreported(),
        gauges.apis(),
        gauges.draining(),
        gauges.degraded(),
    )
    for family, number in zip(_SINGLE, single, strict=True):
        yield family.gauges([((), number)])


def _read_broker(gauges: WorkerGauges) -> Iterator[Metric]:
    status = gauges.broker()
    if status is not None:
        for family, flag in zip(_BROKER, (status.serving, status.blocked), strict=True):
            yield family.gauges([((), flag)])
