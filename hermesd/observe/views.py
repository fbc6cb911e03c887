"""What is read at a scrape of an api: gauges from its memory, the store's commits, the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
from prometheus_client.core import Metric

from hermesd.core.breaker import BreakerState
from hermesd.core.broker import LineStatus
from hermesd.core.buckets import Buckets
from hermesd.core.fleet import WorkerStatus
from hermesd.core.job import Kind, Rung
from hermesd.core.records import Counts
from hermesd.core.states import State
from hermesd.observe.instruments import Family, Labels, View
from hermesd.ports import FleetView

Level = tuple[str, int]  # queue, priority

MAX_WORKER_LABELS: Final = 200

_JOBS: Final = Family("gauge", "hermesd_jobs", "Jobs by state.", ("state",))
_WAITING: Final = Family(
    "gauge",
    "hermesd_jobs_waiting",
    "Queued jobs, by where they wait: amqp (the broker) or store.",
    ("queue", "priority", "rung"),
)
_OLDEST: Final = Family(
    "gauge",
    "hermesd_jobs_waiting_oldest_seconds",
    "How long the oldest queued job has waited.",
    ("queue", "priority"),
)
_PAUSED: Final = Family(
    "gauge", "hermesd_queue_paused", "1: nobody starts the queue's jobs, by an order.", ("queue",)
)
_WORKERS: Final = Family("gauge", "hermesd_workers", "Workers by status.", ("status",))
_SLOTS: Final = Family("gauge", "hermesd_slots", "Slots of the fleet.", ("kind",))
_FREE: Final = Family("gauge", "hermesd_slots_free", "Free slots.", ("kind",))
_BREAKERS: Final = Family(
    "gauge",
    "hermesd_dispatch_breaker_state",
    "How the path to a worker is: 0 closed (jobs flow), 1 half-open, 2 open.",
    ("worker",),
)
_COMMITS: Final = Family("counter", "hermesd_store_commits", "Transactions committed.")
_CHANGES: Final = Family("counter", "hermesd_store_changes", "Changes in them.")
_REPEATS: Final = Family(
    "counter", "hermesd_store_repeats", "Transactions done again after a fault."
)
_FAILURES: Final = Family(
    "counter", "hermesd_store_failures", "Transactions given up, since the database failed."
)
_COMMIT_SECONDS: Final = Family(
    "histogram", "hermesd_store_commit_seconds", "Time of a commit, with its statements."
)
_COMMIT_CHANGES: Final = Family(
    "histogram", "hermesd_store_commit_changes", "Changes that shared a commit."
)
_PENDING: Final = Family(
    "gauge", "hermesd_store_pending_changes", "Changes that wait for their commit."
)
_STORE: Final = Family(
    "gauge", "hermesd_store_serving", "1: the last commit succeeded; 0: the store failed it."
)
_RUNG: Final = Family(
    "gauge", "hermesd_queue_rung_serving", "1: waiting jobs go to this rung now.", ("rung",)
)
_AT_BROKER: Final = Family("gauge", "hermesd_jobs_with_broker", "Jobs that wait at the broker.")
_BROKER: Final = Family(
    "gauge", "hermesd_broker_serving", "1: messages can be published; 0: away or blocked."
)
_BLOCKED: Final = Family(
    "gauge", "hermesd_broker_blocked", "1: the broker takes no messages (its alarm)."
)

# A closed path is the usual one, and what is wrong is above it.
_BREAKER_NUMBERS: Final = {
    str(BreakerState.CLOSED): 0,
    str(BreakerState.HALF_OPEN): 1,
    str(BreakerState.OPEN): 2,
}


class CommitStats(msgspec.Struct, frozen=True, kw_only=True):
    """Of the store's group commit, since it was opened.

    `repeats` are transactions that had to be done again, `failures` those that were given up,
    `pending` the changes that wait now; `seconds` and `sizes` are of each commit.
    """

    commits: int = 0
    changes: int = 0
    repeats: int = 0
    failures: int = 0
    pending: int = 0
    serving: bool = True
    seconds: Buckets = msgspec.field(default_factory=lambda: Buckets(()))
    sizes: Buckets = msgspec.field(default_factory=lambda: Buckets(()))


def jobs_view(
    counts: Callable[[], Counts],
    at_broker: Callable[[], Mapping[Level, int]],
    oldest: Callable[[], Mapping[Level, float]],
) -> View:
    """How many jobs there are, where they wait and for how long.

    A place where jobs waited once stays, at 0: a line that ends tells nobody that it is empty.
    """
    places: set[Level] = set()

    def read() -> Iterator[Metric]:
        now = counts()
        yield _JOBS.gauges(((str(state),), now.states.get(state, 0)) for state in State)
        depths, broker, ages = _depths(now), at_broker(), oldest()
        places.update(depths, broker)
        yield _WAITING.gauges(_by_rung(sorted(places), depths, broker))
        yield _OLDEST.gauges(
            ((queue, str(priority)), ages.get((queue, priority), 0.0))
            for queue, priority in sorted(places)
        )

    return View((_JOBS, _WAITING, _OLDEST), read)


def _depths(counts: Counts) -> dict[Level, int]:
    depths: dict[Level, int] = {}
    for (queue, _, priority), number in counts.waiting.items():
        depths[queue, priority] = depths.get((queue, priority), 0) + number
    return depths


def _by_rung(
    places: Iterable[Level], depths: Mapping[Level, int], at_broker: Mapping[Level, int]
) -> Iterator[tuple[Labels, float]]:
    """What waits and is not at the broker waits in the store."""
    for place in places:
        queue, priority = place
        there = max(at_broker.get(place, 0), 0)
        if there or place in at_broker:
            yield (queue, str(priority), str(Rung.AMQP)), there
        yield (queue, str(priority), str(Rung.STORE)), max(depths.get(place, 0) - there, 0)


def queues_view(paused: Callable[[], Mapping[str, bool]]) -> View:
    """Which queues are paused."""

    def read() -> Iterator[Metric]:
        yield _PAUSED.gauges(((queue,), is_paused) for queue, is_paused in paused().items())

    return View((_PAUSED,), read)


def fleet_view(fleet: FleetView) -> View:
    """The workers, their slots, and the paths to them; of MAX_WORKER_LABELS each by its name."""

    def read() -> Iterator[Metric]:
        statuses = dict.fromkeys(map(str, WorkerStatus), 0)
        totals, frees = (dict.fromkeys(map(str, Kind), 0) for _ in range(2))
        breakers: dict[str, int] = {}
        for entry in fleet.entries():
            statuses[entry.status] = statuses.get(entry.status, 0) + 1
            _add(totals, entry.slots)
            _add(frees, entry.free)
            number = _BREAKER_NUMBERS.get(entry.breaker)
            if number is not None and len(breakers) < MAX_WORKER_LABELS:
                breakers[entry.worker_id] = max(number, breakers.get(entry.worker_id, 0))
        for family, numbers in (
            (_WORKERS, statuses),
            (_SLOTS, totals),
            (_FREE, frees),
            (_BREAKERS, breakers),
        ):
            yield family.gauges(((str(label),), number) for label, number in numbers.items())

    return View((_WORKERS, _SLOTS, _FREE, _BREAKERS), read)


def _add(sums: dict[str, int], numbers: Mapping[str, int]) -> None:
    for key, number in numbers.items():
        sums[key] = sums.get(key, 0) + number


def store_view(commits: Callable[[], CommitStats]) -> View:
    """The group commit, and whether the store serves."""
    counters, gauges = (_COMMITS, _CHANGES, _REPEATS, _FAILURES), (_PENDING, _STORE)
    histograms = (_COMMIT_SECONDS, _COMMIT_CHANGES)

    def read() -> Iterator[Metric]:
        now = commits()
        counted = (now.commits, now.changes, now.repeats, now.failures)
        for family, number in zip(counters, counted, strict=True):
            yield family.counters([((), number)])
        for family, number in zip(gauges, (now.pending, now.serving), strict=True):
            yield family.gauges([((), number)])
        for family, buckets in zip(histograms, (now.seconds, now.sizes), strict=True):
            yield family.histograms([((), buckets)])

    return View((*counters, *gauges, *histograms), read)


def rung_view(rung: Callable[[], Rung], *, with_broker: bool) -> View:
    """Which rung below push serves."""
    rungs = (Rung.AMQP, Rung.STORE) if with_broker else (Rung.STORE,)

    def read() -> Iterator[Metric]:
        now = rung()
        yield _RUNG.gauges(((str(each),), each is now) for each in rungs)

    return View((_RUNG,), read)


def broker_view(status: Callable[[], LineStatus], jobs: Callable[[], int]) -> View:
    """How the line to the broker is, and how many jobs wait there."""

    def read() -> Iterator[Metric]:
        now = status()
        yield _BROKER.gauges([((), now.serving)])
        yield _BLOCKED.gauges([((), now.blocked)])
        yield _AT_BROKER.gauges([((), jobs())])

    return View((_BROKER, _BLOCKED, _AT_BROKER), read)
