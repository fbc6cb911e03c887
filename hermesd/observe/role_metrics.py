"""What the metrics of both roles have in common: a registry, and how the process is doing."""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

import hermesd
from hermesd.observe.instruments import (
    BoundedLabels,
    Counter,
    Family,
    Histogram,
    Instrument,
    View,
)

_LAGS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

InstrumentT = TypeVar("InstrumentT", Counter, Histogram, View)


class RoleMetrics:
    """What both roles measure; `prefix` keeps them apart in one registry.

    A registry that is handed in belongs to the program around: what it collects of process and
    runtime is that program's business, and `close` leaves it as it was. `lag_seconds` is how late
    the event loop was, last time.
    """

    def __init__(
        self, prefix: str, registry: CollectorRegistry | None, process_collectors: bool
    ) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.instruments: list[Instrument] = []
        self.lag_seconds = 0.0
        self._prefix = prefix
        self._types = BoundedLabels()
        if process_collectors and registry is None:
            ProcessCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        self._lag = self._histogram(
            "event_loop_lag_seconds", "How late the event loop ran a timer.", _LAGS
        )
        self._add(_runtime(prefix))

    def loop_lag(self, seconds: float) -> None:
        """The event loop ran a timer so late."""
        self.lag_seconds = seconds
        self._lag.observe(seconds)

    def close(self) -> None:
        """Take everything out of the registry, which another life may use."""
        for instrument in self.instruments:
            self.registry.unregister(instrument)
        self.instruments.clear()

    def _add(self, instrument: InstrumentT) -> InstrumentT:
        self.registry.register(instrument)
        self.instruments.append(instrument)
        return instrument

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return self._add(Counter(f"{self._prefix}_{name}", text, labels))

    def _histogram(
        self, name: str, text: str, bounds: Sequence[float], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return self._add(Histogram(f"{self._prefix}_{name}", text, bounds, labels))


def _runtime(prefix: str) -> View:
    """What of Python and trio tells how much goes on at once."""
    build = Family("gauge", f"{prefix}_build_info", "1; what runs.", ("version", "python"))
    tasks = Family("gauge", f"{prefix}_trio_tasks", "Tasks of the event loop.")
    threads = Family("gauge", f"{prefix}_threads", "Threads of the process.")

    def read() -> Iterable[Metric]:
        yield build.gauges([((hermesd.__version__, platform.python_version()), 1)])
        yield threads.gauges([((), threading.active_count())])
        try:
            living = trio.lowlevel.current_statistics().tasks_living
        except RuntimeError:
            return  # asked from outside of the event loop
        yield tasks.gauges([((), living)])

    return View((build, tasks, threads), read)
