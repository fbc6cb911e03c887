"""The Prometheus metrics of a worker; see observe/metrics.py for those of an api."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hermesd.observe.instruments import DURATIONS, SIZES, Counter, Histogram, RoleMetrics


class WorkerGauges(Protocol):
    """What a worker's gauges are read from at a scrape."""

    def slots(self) -> Mapping[str, int]:
        """Slots by kind."""

    def free(self) -> Mapping[str, int]:
        """Free slots by kind."""

    def unreported(self) -> int:
        """Outcomes that no api has taken yet."""


class WorkerMetrics(RoleMetrics):
    """What a worker measures; `outcome` labels are outcome kinds."""

    def __init__(
        self, registry: CollectorRegistry | None = None, *, process_collectors: bool = False
    ) -> None:
        super().__init__("hermesd_worker", registry, process_collectors)
        registry = self.registry
        self._started = Counter(
            "hermesd_worker_jobs_started", "Handlers started.", ("type",), registry
        )
        self._ended = Counter(
            "hermesd_worker_jobs_ended",
            "Handlers ended, by outcome.",
            ("type", "outcome"),
            registry,
        )
        self._durations = Histogram(
            "hermesd_worker_job_duration_seconds",
            "Time in a handler.",
            DURATIONS,
            ("type",),
            registry,
        )
        self._received = Histogram(
            "hermesd_worker_dispatch_batch_jobs",
            "Jobs in a dispatch POST received.",
            SIZES,
            (),
            registry,
        )
        self._reported = Histogram(
            "hermesd_worker_report_outcomes", "Outcomes in a report.", SIZES, (), registry
        )
        self._pulled = Counter(
            "hermesd_worker_messages_pulled",
            "Messages taken from the broker.",
            ("queue", "band"),
            registry,
        )
        self._redelivered = Counter(
            "hermesd_worker_messages_redelivered",
            "Of those, messages that were handed out before.",
            ("queue",),
            registry,
        )
        self._turned_down = Counter(
            "hermesd_worker_messages_not_run",
            "Messages given back or rejected unclaimed, by reason.",
            ("reason",),
            registry,
        )
        self._claims = Counter(
            "hermesd_worker_claims", "Claims by verdict.", ("verdict",), registry
        )
        self._degraded = Counter(
            "hermesd_worker_degraded_runs", "Jobs run without an api.", ("type",), registry
        )
        self._stalls = Counter(
            "hermesd_worker_pull_restarts",
            "Times that pulling had to be begun anew.",
            ("queue",),
            registry,
        )
        self._broker = Gauge(
            "hermesd_worker_broker_serving", "Whether the broker can be used.", registry=registry
        )

    def started(self, job_type: str) -> None:
        """A handler was started."""
        self._started.add((self._types.of(job_type),))

    def ended(self, job_type: str, outcome: str, seconds: float) -> None:
        """A handler ended after so long."""
        label = self._types.of(job_type)
        self._ended.add((label, outcome))
        self._durations.observe(seconds, (label,))

    def received(self, jobs: int) -> None:
        """A dispatch POST brought so many jobs."""
        self._received.observe(jobs)

    def reported(self, outcomes: int) -> None:
        """A report with so many outcomes was taken by an api."""
        self._reported.observe(outcomes)

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

    def broker_serving(self, serving: bool) -> None:
        """Whether messages can be taken and published now."""
        self._broker.set(serving)

    def watch(self, gauges: WorkerGauges) -> None:
        """Show what `gauges` says at each scrape."""
        self.registry.register(_WorkerView(gauges))


class _WorkerView(Collector):
    """Gauges read from the worker's memory at a scrape."""

    def __init__(self, gauges: WorkerGauges) -> None:
        self._gauges = gauges

    def describe(self) -> Iterable[Metric]:
        """See _ApiView.describe."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        slots = GaugeMetricFamily("hermesd_worker_slots", "Slots.", labels=("kind",))
        free = GaugeMetricFamily("hermesd_worker_slots_free", "Free slots.", labels=("kind",))
        for family, numbers in ((slots, self._gauges.slots()), (free, self._gauges.free())):
            for kind, number in numbers.items():
                family.add_metric((str(kind),), number)
            yield family
        yield GaugeMetricFamily(
            "hermesd_worker_unreported_outcomes",
            "Outcomes that no api has taken yet.",
            value=self._gauges.unreported(),
        )
