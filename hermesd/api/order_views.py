"""Orders to workers and queues as clients send them, and what they are answered with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from hermesd.api.forecaster import Forecast
from hermesd.api.ordering import Chosen, Command, Ordered
from hermesd.api.present import rfc3339
from hermesd.api.queuefigures import QueueEntry
from hermesd.api.views import Time, View
from hermesd.core.errors import InvalidValue
from hermesd.core.fleet import FleetEntry
from hermesd.core.forecast import Fate
from hermesd.core.job import Rung
from hermesd.core.orders import MAX_REASON_CHARS, OrderKind

MAX_NAMED = 1000

Said = Annotated[str, Meta(max_length=MAX_REASON_CHARS)]
Names = Annotated[list[str], Meta(max_length=MAX_NAMED)]


class OrderBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, and who says so: both are for people. May be left out as a whole."""

    reason: Said = ""
    by: Said = ""

    def __post_init__(self) -> None:
        if "\0" in self.reason or "\0" in self.by:  # which no database takes
            raise InvalidValue("`reason` and `by` must not contain a NUL")


class DrainBody(OrderBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`at_once`: running jobs are given back instead of awaited."""

    at_once: bool = False


class WorkersBody(DrainBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which workers, one way: by `ids`, by `label` and `machine`, or `all`."""

    ids: Names = []
    label: Mapping[str, str] = {}
    machine: str | None = None
    all: bool = False

    @property
    def chosen(self) -> Chosen:
        """Those that are meant; raises InvalidValue where that is not clear."""
        return Chosen(
            ids=tuple(self.ids), label=self.label, machine=self.machine, everything=self.all
        )


class OrderedView(View, frozen=True, kw_only=True):
    """A worker as it is after the order."""

    worker_id: str
    incarnation: str
    status: str
    taken: bool


class OrderAnswer(View, frozen=True, kw_only=True):
    """`taken`: all have confirmed; one that has not is unrouted, and hears of it when it can."""

    taken: bool
    workers: Sequence[OrderedView]


class JobForecastView(View, frozen=True, kw_only=True):
    """A running job and its likely fate; `remaining_seconds` is null where nothing tells."""

    id: str
    type: str
    started_at: Time
    elapsed_seconds: float
    remaining_seconds: float | None
    fate: Fate
    why: str


class ForecastView(View, frozen=True, kw_only=True):
    """What a drain of the worker would come to."""

    worker_id: str
    incarnation: str
    drain_seconds: float
    finishes: int
    handed_on: int
    unknown: int
    jobs: Sequence[JobForecastView]


class QueueView(View, frozen=True, kw_only=True):
    """One queue; `workers` serve it and take jobs now, with `slots` in all.

    `oldest_seconds` is how long its oldest job had waited at the last look, of every five seconds;
    null where none waits.
    """

    name: str
    declared: bool
    paused: bool
    paused_since: Time | None
    paused_by: str
    reason: str
    waiting: int
    by_priority: Mapping[str, int]
    at_broker: int
    oldest_seconds: float | None
    running: int
    slots: int
    free: int
    workers: int
    rung: Rung


class QueueAnswer(View, frozen=True, kw_only=True):
    """A single queue."""

    queue: QueueView


class QueueList(View, frozen=True, kw_only=True):
    """All queues, by name."""

    count: int
    queues: Sequence[QueueView]


def command_of(kind: OrderKind, body: OrderBody) -> Command:
    """The order that a body asks for."""
    at_once = isinstance(body, DrainBody) and body.at_once
    return Command(kind=kind, reason=body.reason, by=body.by, at_once=at_once)


def order_answer(ordered: Sequence[Ordered]) -> OrderAnswer:
    """How the workers are now."""
    views = [
        OrderedView(
            worker_id=each.entry.worker_id,
            incarnation=each.entry.incarnation,
            status=each.entry.status,
            taken=each.taken,
        )
        for each in ordered
    ]
    return OrderAnswer(taken=all(each.taken for each in ordered), workers=views)


def forecast_view(worker: FleetEntry, forecast: Forecast) -> ForecastView:
    """The fates of a worker's jobs."""
    jobs = [
        JobForecastView(
            id=each.job.id,
            type=each.job.type,
            started_at=rfc3339(each.job.started_at or each.job.updated_at),
            elapsed_seconds=each.elapsed_seconds,
            remaining_seconds=each.guess.remaining_seconds,
            fate=each.guess.fate,
            why=each.guess.why,
        )
        for each in forecast.jobs
    ]
    return ForecastView(
        worker_id=worker.worker_id,
        incarnation=worker.incarnation,
        drain_seconds=forecast.drain_seconds,
        finishes=forecast.fates[Fate.FINISHES],
        handed_on=forecast.fates[Fate.HANDED_ON],
        unknown=forecast.fates[Fate.UNKNOWN],
        jobs=jobs,
    )


def queue_view(entry: QueueEntry) -> QueueView:
    """A queue as clients see it."""
    pause = entry.pause
    return QueueView(
        name=entry.name,
        declared=entry.declared,
        paused=pause is not None,
        paused_since=None if pause is None else rfc3339(pause.since),
        paused_by="" if pause is None else pause.by,
        reason="" if pause is None else pause.reason,
        waiting=entry.waiting,
        by_priority={str(level): number for level, number in entry.by_priority.items()},
        at_broker=entry.at_broker,
        oldest_seconds=entry.oldest_seconds,
        running=entry.running,
        slots=entry.slots,
        free=entry.free,
        workers=entry.workers,
        rung=entry.rung,
    )
