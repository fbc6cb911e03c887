"""What the metrics of both roles are made of: cached children, bounded labels, the registry."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

MAX_TYPE_LABELS: Final = 200

Child = TypeVar("Child", Counter, Gauge, Histogram)


def render(registry: CollectorRegistry) -> tuple[bytes, str]:
    """The metrics in the Prometheus text format, and its content type."""
    return generate_latest(registry), CONTENT_TYPE_LATEST


class Children(Generic[Child]):
    """The children of one metric by their label values; `labels()` itself is slow."""

    def __init__(self, metric: Child) -> None:
        self._metric: Child = metric
        self._known: dict[tuple[str, ...], Child] = {}

    def of(self, *values: str) -> Child:
        """The child with these label values, in the order of the metric's labels."""
        child = self._known.get(values)
        if child is None:
            child = self._known[values] = self._metric.labels(*values)
        return child


class TypeLabels:
    """Job types as label values, bounded."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def of(self, job_type: str) -> str:
        """The type itself, or `other` for those that came past the bound."""
        if job_type in self._known:
            return job_type
        if len(self._known) >= MAX_TYPE_LABELS:
            return "other"
        self._known.add(job_type)
        return job_type


class RoleMetrics:
    """What both roles measure; `prefix` keeps them apart in one registry."""

    def __init__(
        self, prefix: str, registry: CollectorRegistry | None, process_collectors: bool
    ) -> None:
        self.registry = registry or CollectorRegistry()
        if process_collectors:
            ProcessCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        self._types = TypeLabels()
        self._lag = Gauge(
            f"{prefix}_event_loop_lag_seconds",
            "How late the event loop ran a timer, last time it was measured.",
            registry=self.registry,
        )

    def loop_lag(self, seconds: float) -> None:
        """The event loop ran a timer so late."""
        self._lag.set(seconds)
