"""Every metric that there can be, as the code declares it: for the documentation and its tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from hermesd.core.broker import LineStatus
from hermesd.core.fleet import FleetEntry
from hermesd.core.job import Rung
from hermesd.core.records import Counts
from hermesd.observe.metrics import ApiMetrics
from hermesd.observe.role_metrics import RoleMetrics
from hermesd.observe.views import CommitStats
from hermesd.observe.worker_metrics import WorkerMetrics


class Described(NamedTuple):
    """One metric: its name as it is scraped (of a histogram without _bucket), and what it tells."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def api_metrics() -> Sequence[Described]:
    """What an api may show, by name; without what is of its process."""
    metrics = ApiMetrics()
    metrics.watch(
        counts=lambda: Counts(states={}, waiting={}),
        fleet=_Nobody(),
        commits=CommitStats,
        rung=lambda: Rung.STORE,
        broker=lambda: LineStatus(connected=False),
    )
    return _of(metrics)


def worker_metrics() -> Sequence[Described]:
    """What a worker may show, by name; without what is of its process."""
    metrics = WorkerMetrics()
    metrics.watch(_Idle())
    return _of(metrics)


def process_metrics() -> Sequence[Described]:
    """What both show of their process, unless `metrics.process_collectors` is off."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return sorted(_found(registry.collect()))


def _of(metrics: RoleMetrics) -> Sequence[Described]:
    return sorted(
        Described(_scraped(family.name, family.kind), family.kind, family.labels, family.text)
        for instrument in metrics.instruments
        for family in instrument.families
    )


def _found(metrics: Iterable[Metric]) -> Iterator[Described]:
    for metric in metrics:
        labels = tuple(sorted({name for sample in metric.samples for name in sample.labels}))
        name = _scraped(metric.name, metric.type)
        yield Described(name, metric.type, labels, metric.documentation)


def _scraped(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


class _Nobody:
    """A fleet without a worker."""

    def entries(self) -> Sequence[FleetEntry]:
        return ()

    def totals(self) -> Mapping[str, int]:
        return {}


class _Idle:
    """The gauges of a worker without anything."""

    def slots(self) -> Mapping[str, int]:
        return {}

    def free(self) -> Mapping[str, int]:
        return {}

    def running(self) -> Mapping[str, int]:
        return {}

    def children(self) -> int:
        return 0

    def unreported(self) -> int:
        return 0

    def apis(self) -> int:
        return 0

    def draining(self) -> bool:
        return False

    def degraded(self) -> bool:
        return False

    def broker(self) -> LineStatus | None:
        return None
