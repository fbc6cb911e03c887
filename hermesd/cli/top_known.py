"""What `hermesd top` knows of a deployment: the last answer to each of its questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from hermesd.cli.top_summary import Summary
from hermesd.client import (
    Event,
    JobView,
    QueueList,
    QueueView,
    Stats,
    WorkerList,
    WorkerView,
)
from hermesd.core.amqp_names import Band, band_of

SHOWN_JOBS: Final = 50
LIVE: Final = ("running", "queued", "scheduled")
BANDS: Final = tuple(Band)
RATES: Final = ("submitted", "succeeded", "failed", "retried", "cancelled")


class Pane(StrEnum):
    """The lists of the screen, in their order."""

    WORKERS = "workers"
    QUEUES = "queues"
    JOBS = "jobs"
    FAILURES = "failures"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one time, as `--json` prints it."""

    time: datetime
    url: str
    stats: Stats
    workers: Sequence[WorkerView]
    queues: Sequence[QueueView]
    jobs: Sequence[JobView]
    failures: Sequence[JobView]


@dataclass
class Known:
    """The last answers. `silent_since`: no answer came since then; `faults`: what was refused."""

    url: str
    began: datetime
    summary: Summary | None = None
    stats: Stats = field(default_factory=Stats)
    workers: Sequence[WorkerView] = ()
    queues: Sequence[QueueView] = ()
    jobs: Sequence[JobView] = ()
    failures: Sequence[JobView] = ()
    opened: JobView | None = None
    history: Sequence[Event] = ()
    answered_at: datetime | None = None
    silent_since: datetime | None = None
    faults: dict[str, str] = field(default_factory=dict)

    def answered(self, question: str, now: datetime) -> None:
        """An answer to `question` came."""
        self.answered_at = now
        self.silent_since = None
        self.faults.pop(question, None)

    def unanswered(self) -> None:
        """A question was lost; the silence began with the last answer."""
        self.silent_since = self.silent_since or self.answered_at or self.began

    def refused(self, question: str, detail: str, now: datetime) -> None:
        """The api answered, but not what was asked."""
        self.answered(question, now)
        self.faults[question] = detail

    def take_workers(self, answer: WorkerList) -> None:
        """GET /workers, by name."""
        self.workers = sorted(answer.workers, key=lambda each: (each.worker_id, each.incarnation))

    def take_queues(self, answer: QueueList) -> None:
        """GET /queues."""
        self.queues = answer.queues

    @property
    def api(self) -> str:
        """The name of the api that answers."""
        return self.summary.api if self.summary else self.stats.api

    @property
    def rung(self) -> str:
        """Where waiting jobs go, and why it is no better place."""
        if not self.summary:
            return self.stats.rung or ""
        reason = self.summary.rung_reason
        return self.summary.rung + (f" ({reason})" if reason else "")

    @property
    def uptime_seconds(self) -> float:
        """Of the api."""
        return self.summary.uptime_seconds if self.summary else self.stats.uptime_seconds

    @property
    def counts(self) -> Mapping[str, int]:
        """Jobs by state."""
        return self.summary.jobs if self.summary else self.stats.jobs

    @property
    def waiting(self) -> Mapping[str, int]:
        """Waiting jobs by band, and `total`."""
        if self.summary:
            found = self.summary.waiting
            return {name: int(found.get(name, 0)) for name in ("total", *BANDS)}
        told = self.stats.waiting
        return {"total": told.total, **by_band(told.by_priority)}

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest waiting job waits; 0: none does."""
        if self.summary:
            return float(self.summary.waiting.get("oldest_seconds", 0.0))
        return max((queue.oldest_seconds or 0.0 for queue in self.queues), default=0.0)

    @property
    def rates(self) -> Mapping[str, float]:
        """Per second: of the last seconds, or of some minutes where the api tells no others."""
        if self.summary:
            return self.summary.rates
        recent = self.stats.recent
        seconds = max(recent.window_seconds, 1.0)
        return {name: getattr(recent.all, name) / seconds for name in RATES}

    def keys(self, pane: Pane) -> Sequence[str]:
        """What names each row of a pane."""
        if pane is Pane.WORKERS:
            return [each.incarnation or each.worker_id for each in self.workers]
        if pane is Pane.QUEUES:
            return [each.name for each in self.queues]
        return [each.id for each in (self.jobs if pane is Pane.JOBS else self.failures)]

    def snapshot(self, now: datetime) -> Snapshot:
        """All of it."""
        return Snapshot(
            time=now,
            url=self.url,
            stats=self.stats,
            workers=self.workers,
            queues=self.queues,
            jobs=self.jobs,
            failures=self.failures,
        )


def by_band(by_priority: Mapping[str, int]) -> dict[str, int]:
    """Jobs by band, from jobs by priority."""
    found = dict.fromkeys(map(str, BANDS), 0)
    for priority, count in by_priority.items():
        found[band_of(int(priority))] += count
    return found
