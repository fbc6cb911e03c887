"""The Prometheus metrics of an api, over a registry of its own.

Job types become labels up to MAX_TYPE_LABELS, later ones count as `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hermesd.core.job import Job, Rung
from hermesd.core.outcome import Settlement
from hermesd.core.records import Counts
from hermesd.observe.instruments import DURATIONS, SIZES, Counter, Histogram, RoleMetrics
from hermesd.ports import FleetView

INVARIANTS: Final = (
    "lease-regression",
    "owner",
    "double-outcome",
    "unrouted-type",
    "lost-job",
)
_LATENCIES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_WAITS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0)


class CommitStats(NamedTuple):
    """Of the store's group commit; `repeats` are transactions that had to be done again."""

    commits: int
    changes: int
    last_seconds: float
    repeats: int = 0


class ApiMetrics(RoleMetrics):
    """What an api measures. `outcome` labels are moves: succeed, fail, retry, release, ...

    `accepted` is the number of jobs accepted since the start, `accepted_elsewhere` those of which
    other apis have told.
    """

    def __init__(
        self, registry: CollectorRegistry | None = None, *, process_collectors: bool = False
    ) -> None:
        super().__init__("hermesd", registry, process_collectors)
        self.accepted = 0
        self.accepted_elsewhere = 0
        counter, histogram = self._counter, self._histogram
        self._submits = counter("submits", "Jobs accepted.", ("type", "queue", "result"))
        self._refusals = counter(
            "submit_refusals", "Submits not accepted, by problem.", ("reason",)
        )
        self._submit_seconds = histogram(
            "submit_seconds", "From a whole submit to its answer.", _LATENCIES
        )
        self._fires = counter(
            "schedule_fires", "Fires of schedules, by what became of them.", ("fate",)
        )
        self._started = counter("jobs_started", "Attempts given to a worker.", ("type", "rung"))
        self._settled = counter(
            "jobs_settled", "Recorded outcomes, retries included.", ("type", "outcome")
        )
        self._durations = histogram(
            "job_duration_seconds", "Time in a handler.", DURATIONS, ("type",)
        )
        self._dispatch_seconds = histogram(
            "dispatch_seconds", "From a dispatch POST to its answer.", _LATENCIES
        )
        self._dispatch_jobs = histogram("dispatch_batch_jobs", "Jobs in a dispatch POST.", SIZES)
        self._dropped = counter(
            "outcomes_dropped", "Outcomes not recorded, by verdict.", ("verdict",)
        )
        self._pruned = counter("jobs_pruned", "Finished jobs deleted by retention.", ("state",))
        self._waited = histogram(
            "job_wait_seconds", "From the queue to a worker, by rung.", _WAITS, ("rung",)
        )
        self._published = counter(
            "queue_publishes", "Messages published to the broker, by fate.", ("fate",)
        )
        self._claims = counter("queue_claims", "Claims of pulled messages.", ("verdict",))
        self._taken_back = counter(
            "queue_taken_back", "Jobs taken back from the broker to the store.", ("reason",)
        )
        self._returned = counter(
            "queue_returned", "Messages that the broker gave back, by its reason.", ("reason",)
        )
        self._pulled = counter(
            "queue_pulled_outcomes", "Outcomes that came through the broker.", ("verdict",)
        )
        self._breaches = counter(
            "invariant_breaches", "Must stay 0: a defect of hermesd.", ("invariant",)
        )
        self._lost_races = counter(
            "assign_conflicts",
            "Waiting jobs that were gone when a worker was to have them.",
            ("queue",),
        )
        for invariant in INVARIANTS:
            self._breaches.add((invariant,), 0)

    def submitted(self, job_type: str, queue: str, result: str, jobs: int = 1) -> None:
        """So many jobs are committed; `result` is direct, queue or repeated."""
        if result != "repeated":
            self.accepted += jobs
        self._submits.add((self._types.of(job_type), queue, result), jobs)

    def fired(self, fate: str) -> None:
        """A schedule's fire is recorded; `fate` is its kind: fired, missed, overlapped, ..."""
        self._fires.add((fate,))

    def refused(self, reason: str) -> None:
        """A submit was not accepted; `reason` is the problem's slug."""
        self._refusals.add((reason,))

    def submit_answered(self, seconds: float) -> None:
        """A submit, alone or a batch, took so long until its answer."""
        self._submit_seconds.observe(seconds)

    def started(self, job: Job, jobs: int = 1) -> None:
        """An attempt was given to a worker, of `job` and of others of its type on its rung."""
        self._started.add((self._types.of(job.type), job.rung or ""), jobs)

    def waited(self, job: Job, started_at: float, jobs: int = 1) -> None:
        """An attempt began at that UTC second, of `job` and of others that came with it."""
        seconds = max(started_at - (job.enqueued_at or started_at), 0.0)
        rung = (job.rung or "",)
        for _ in range(jobs):
            self._waited.observe(seconds, rung)

    def lost_race(self, queue: str) -> None:
        """A waiting job was not given to a worker, since another api or an operator was faster."""
        self._lost_races.add((queue,))

    def published(self, fate: str, jobs: int) -> None:
        """So many messages had this fate."""
        self._published.add((fate,), jobs)

    def claimed(self, verdict: str) -> None:
        """A worker asked for a job that it had pulled."""
        self._claims.add((verdict,))

    def taken_back(self, reason: str, jobs: int) -> None:
        """So many jobs wait in the store again."""
        self._taken_back.add((reason,), jobs)

    def returned(self, reason: str) -> None:
        """The broker gave a message back."""
        self._returned.add((reason,))

    def pulled(self, verdict: str) -> None:
        """An outcome came through the broker."""
        self._pulled.add((verdict,))

    def settled(self, job: Job, settlement: Settlement) -> None:
        """An outcome is recorded."""
        label = self._types.of(job.type)
        self._settled.add((label, settlement.move))
        if settlement.started_at:
            self._durations.observe(max(settlement.at - settlement.started_at, 0.0), (label,))

    def dispatched(self, jobs: int, seconds: float) -> None:
        """A dispatch POST with so many jobs was answered."""
        self._dispatch_jobs.observe(jobs)
        self._dispatch_seconds.observe(seconds)

    def dropped(self, verdict: str) -> None:
        """An outcome was late, doubled or of an unknown job."""
        self._dropped.add((verdict,))

    def pruned(self, state: str, jobs: int) -> None:
        """So many jobs that had ended in `state` were deleted by retention."""
        self._pruned.add((state,), jobs)

    def breach(self, invariant: str) -> None:
        """An invariant of INVARIANTS did not hold."""
        self._breaches.add((invariant,))

    def watch(
        self,
        *,
        counts: Callable[[], Counts],
        fleet: FleetView,
        commits: Callable[[], CommitStats] | None = None,
        rung: Callable[[], Rung] | None = None,
        with_broker: Callable[[], int] | None = None,
    ) -> None:
        """Show what these say at each scrape.

        `commits`: the store's group commit; `rung`: where jobs wait now;
        `with_broker`: how many wait at a broker.
        """
        self.registry.register(_ApiView(counts, fleet, commits))
        if rung is not None:
            self.registry.register(_RungView(rung, with_broker))

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"hermesd_{name}", text, labels, self.registry)

    def _histogram(
        self, name: str, text: str, bounds: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return Histogram(f"hermesd_{name}", text, bounds, labels, self.registry)


class _ApiView(Collector):
    """Gauges read from the api's memory at a scrape."""

    def __init__(
        self,
        counts: Callable[[], Counts],
        fleet: FleetView,
        commits: Callable[[], CommitStats] | None,
    ) -> None:
        self._counts = counts
        self._fleet = fleet
        self._commits = commits

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: names are unique, and registering must not read the world."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        counts = self._counts()
        states = GaugeMetricFamily("hermesd_jobs", "Jobs by state.", labels=("state",))
        for state, number in counts.states.items():
            states.add_metric((str(state),), number)
        yield states
        yield _waiting(counts)
        yield from self._fleet_gauges()
        if self._commits is not None:
            yield from _commit_counters(self._commits())

    def _fleet_gauges(self) -> Iterable[Metric]:
        slots = GaugeMetricFamily("hermesd_slots", "Slots of the fleet.", labels=("kind",))
        free = GaugeMetricFamily("hermesd_slots_free", "Free slots.", labels=("kind",))
        workers = GaugeMetricFamily("hermesd_workers", "Workers by status.", labels=("status",))
        statuses: dict[str, int] = {}
        totals: dict[str, int] = {}
        frees: dict[str, int] = {}
        for entry in self._fleet.entries():
            statuses[entry.status] = statuses.get(entry.status, 0) + 1
            _add(totals, entry.slots)
            _add(frees, entry.free)
        for family, numbers in ((workers, statuses), (slots, totals), (free, frees)):
            for label, number in numbers.items():
                family.add_metric((str(label),), number)
            yield family


class _RungView(Collector):
    """Which rung below push serves, and what waits at the broker."""

    def __init__(self, rung: Callable[[], Rung], with_broker: Callable[[], int] | None) -> None:
        self._rung = rung
        self._with_broker = with_broker

    def describe(self) -> Iterable[Metric]:
        """See _ApiView.describe."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        serving = GaugeMetricFamily(
            "hermesd_queue_rung_serving", "1: waiting jobs go to this rung now.", labels=("rung",)
        )
        now = self._rung()
        rungs = (Rung.STORE,) if self._with_broker is None else (Rung.AMQP, Rung.STORE)
        for rung in rungs:
            serving.add_metric((str(rung),), rung is now)
        yield serving
        if self._with_broker is not None:
            yield GaugeMetricFamily(
                "hermesd_jobs_with_broker", "Jobs that wait at the broker.", self._with_broker()
            )


def _waiting(counts: Counts) -> Metric:
    waiting = GaugeMetricFamily(
        "hermesd_jobs_waiting", "Queued jobs.", labels=("queue", "priority")
    )
    depths: dict[tuple[str, str], int] = {}
    for (queue, _, priority), number in counts.waiting.items():
        place = (queue, str(priority))
        depths[place] = depths.get(place, 0) + number
    for place, number in depths.items():
        waiting.add_metric(place, number)
    return waiting


def _commit_counters(stats: CommitStats) -> Iterable[Metric]:
    for name, meaning, value in (
        ("hermesd_store_commits", "Transactions committed.", stats.commits),
        ("hermesd_store_changes", "Changes in them.", stats.changes),
        ("hermesd_store_repeats", "Transactions done again after a fault.", stats.repeats),
    ):
        yield CounterMetricFamily(name, meaning, value=value)
    yield GaugeMetricFamily(
        "hermesd_store_last_commit_seconds",
        "Time that the last commit took.",
        value=stats.last_seconds,
    )


def _add(sums: dict[str, int], numbers: Mapping[str, int]) -> None:
    for key, number in numbers.items():
        sums[key] = sums.get(key, 0) + number
