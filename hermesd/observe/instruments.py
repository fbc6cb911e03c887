"""What the metrics of both roles are made of: counters, histograms, what is read at a scrape.

The counters and histograms of prometheus_client take a lock and several calls an event; these
take a dict lookup and an addition, a quarter of the time (measured: 0.1 µs a count, 0.14 an
observation), and are for one thread: the event loop's, which serves the scrape too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Final, NamedTuple

import prometheus_client
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from hermesd.core.buckets import Buckets

MAX_TYPE_LABELS: Final = 200
OTHER: Final = "other"
SIZES: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
DURATIONS: Final = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)

Labels = tuple[str, ...]
Sample = tuple[Labels, float]


async def render(registry: CollectorRegistry) -> tuple[bytes, str]:
    """The metrics in the Prometheus text format, and its content type.

    Others have their turn between any two metrics: all of 200 job types take 60 ms (measured).
    """
    parts: list[bytes] = []
    for metric in registry.collect():
        parts.append(generate_latest(_Alone(metric)))
        await trio.lowlevel.checkpoint()
    return b"".join(parts), CONTENT_TYPE_LATEST


class _Alone(CollectorRegistry):
    """A registry with one metric, which has been collected."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


class Family(NamedTuple):
    """What is known of a metric beforehand; a counter's `name` is without its `_total`."""

    kind: str
    name: str
    text: str
    labels: Labels = ()

    def metric(self) -> Metric:
        """Without a sample."""
        return Metric(self.name, self.text, self.kind)

    def gauges(self, samples: Iterable[Sample]) -> Metric:
        """The gauge of these values."""
        family = GaugeMetricFamily(self.name, self.text, labels=self.labels)
        for labels, value in samples:
            family.add_metric(labels, value)
        return family

    def counters(self, samples: Iterable[Sample]) -> Metric:
        """The counter that has come to these values."""
        family = CounterMetricFamily(self.name, self.text, labels=self.labels)
        for labels, value in samples:
            family.add_metric(labels, value)
        return family

    def histograms(self, samples: Iterable[tuple[Labels, Buckets]]) -> Metric:
        """The histogram of these distributions."""
        family = HistogramMetricFamily(self.name, self.text, labels=self.labels)
        for labels, known in samples:
            bounds = [*map(floatToGoString, known.bounds), "+Inf"]
            sums = list(zip(bounds, accumulate(known.counts), strict=True))
            family.add_metric(labels, sums, known.total)
        return family

    def summaries(self, samples: Iterable[tuple[Labels, int, float]]) -> Metric:
        """The summary of so many observations with these sums; it has no quantiles."""
        family = SummaryMetricFamily(self.name, self.text, labels=self.labels)
        for labels, count, total in samples:
            family.add_metric(labels, count, total)
        return family


class Counter(Collector):
    """Counts by label values, which are given in the order of the labels.

    What came since the last scrape is kept here, the rest and all that a scrape shows in `_shown`.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self.families = (Family("counter", name, text, tuple(labels)),)
        self._shown = prometheus_client.Counter(name, text, labels, registry=None)
        self._fresh: dict[Labels, float] = {}

    def add(self, values: Labels, number: float = 1) -> None:
        """Count `number` events; 0 shows the sample before the first one."""
        try:
            self._fresh[values] += number
        except KeyError:
            self._fresh[values] = number
            self._shown.labels(*values)

    def describe(self) -> Iterable[Metric]:
        """The name, for the registry to find it taken."""
        return self._shown.describe()

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        for values, number in list(self._fresh.items()):  # also from a thread that scrapes
            self._shown.labels(*values).inc(number)
            self._fresh[values] -= number
        return self._shown.collect()


class Histogram(Collector):
    """Distributions by label values; without `labels` there is one from the start.

    `_model` observes nothing: it knows the names, and since when there is which distribution.
    """

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        self.families = (Family("histogram", name, text, tuple(labels)),)
        self._model = prometheus_client.Histogram(name, text, labels, buckets=bounds, registry=None)
        self._new = partial(Buckets, bounds)
        self._bounds = bounds
        self._known: dict[Labels, Buckets] = {}
        if not labels:
            self._known[()] = self._new()

    def observe(self, value: float, values: Labels = (), times: int = 1) -> None:
        """Put `value` so many times into the first bucket whose upper bound is not below it."""
        known = self._known.get(values) or self._add(values)
        known.counts[bisect_left(self._bounds, value)] += times  # not by a call: it costs as much
        known.total += value * times

    def observe_each(self, values: Iterable[float], labels: Labels = ()) -> None:
        """The same for several values, once each."""
        known = self._known.get(labels) or self._add(labels)
        counts, bounds = known.counts, self._bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            known.total += value

    def observe_all(self, counted: Mapping[float, int], values: Labels = ()) -> None:
        """The same for several values, each so many times."""
        for value, times in counted.items():
            self.observe(value, values, times)

    def describe(self) -> Iterable[Metric]:
        """The name, for the registry to find it taken."""
        return self._model.describe()

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        metric = self.families[0].histograms(list(self._known.items()))
        metric.samples += [
            sample
            for model in self._model.collect()
            for sample in model.samples
            if sample.name.endswith("_created")
        ]
        return [metric]

    def _add(self, values: Labels) -> Buckets:
        self._model.labels(*values)
        added = self._known[values] = self._new()
        return added


class View(Collector):
    """What is read from elsewhere at a scrape: `read` gives a metric for each of `families`."""

    def __init__(self, families: Sequence[Family], read: Callable[[], Iterable[Metric]]) -> None:
        self.families = tuple(families)
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """The names alone: registering must not read the world."""
        return [family.metric() for family in self.families]

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        return self._read()


Instrument = Counter | Histogram | View


class BoundedLabels:
    """Values of a label that come from outside (job types): the first `most` of them."""

    def __init__(self, most: int = MAX_TYPE_LABELS) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        """The value itself, or `other` for those that came past the bound."""
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value
