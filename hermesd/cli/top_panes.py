"""The rows of the lists of `hermesd top`, as plain cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hermesd.cli.tables import state_text
from hermesd.cli.top_known import BANDS, Known, Pane, by_band
from hermesd.client import JobView, QueueView, WorkerView

_UNITS: Final = ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k"))
_SPANS: Final = ((2 * 86_400, 86_400, "d"), (2 * 3600, 3600, "h"), (120, 60, "m"), (1, 1, "s"))
_ID_END: Final = 12
WIDE_COLUMNS: Final = 110  # from here on a list shows all that it has


@dataclass(frozen=True)
class Column:
    """A heading; `width` in characters, 0: it shares what is left. Numbers stand at the right."""

    name: str
    width: int = 0
    number: bool = False


@dataclass(frozen=True)
class Listing:
    """One pane's table; the first column is headed by the pane's name."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


def listing(pane: Pane, known: Known, now: datetime, width: int) -> Listing:
    """The rows of a pane that is `width` characters wide, in the order of `known.keys(pane)`."""
    wide = width >= WIDE_COLUMNS
    if pane is Pane.WORKERS:
        return _workers(known.workers, now, wide)
    if pane is Pane.QUEUES:
        return _queues(known.queues)
    if pane is Pane.JOBS:
        return _jobs(known.jobs, now, wide)
    return _failures(known.failures, now, wide)


def _workers(workers: Sequence[WorkerView], now: datetime, wide: bool) -> Listing:
    more = (Column("machine", 16), Column("queues", 20), Column("version", 10)) if wide else ()
    columns = (
        Column("workers"),
        Column("status", 11),
        Column("load", 5, number=True),
        Column("slots", 9, number=True),
        Column("lag", 7, number=True),
        Column("rss", 6, number=True),
        Column("seen", 5, number=True),
        *more,
    )
    return Listing(columns, [_worker(each, now, wide) for each in workers])


def _worker(worker: WorkerView, now: datetime, wide: bool) -> Sequence[str]:
    load, slots = worker.load, sum(worker.slots.values())
    seen = now.timestamp() - worker.last_seen_unix
    return (
        worker.worker_id,
        worker.status,
        f"{load.get('cpu', 0.0):.2f}",
        f"{slots - sum(worker.free.values())}/{slots}",
        short(load.get("loop_lag_seconds")),
        size(load.get("rss_bytes", 0)),
        short(max(seen, 0.0)) if worker.last_seen_unix else "",
        *((worker.machine, ", ".join(worker.queues), worker.version) if wide else ()),
    )


def _queues(queues: Sequence[QueueView]) -> Listing:
    names = ("crit", "high", "norm", "back")
    columns = (
        Column("queues"),
        Column("state", 6),
        Column("waiting", 7, number=True),
        *(Column(name, 6, number=True) for name in names),
        Column("oldest", 6, number=True),
        Column("running", 7, number=True),
        Column("free", 5, number=True),
    )
    return Listing(columns, [_queue(each) for each in queues])


def _queue(queue: QueueView) -> Sequence[str]:
    bands = by_band(queue.by_priority)
    return (
        queue.name,
        "paused" if queue.paused else "active",
        str(queue.waiting),
        *(str(bands[name]) for name in BANDS),
        short(queue.oldest_seconds),
        str(queue.running),
        str(queue.free),
    )


def _jobs(jobs: Sequence[JobView], now: datetime, wide: bool) -> Listing:
    columns = (
        Column("jobs", 36 if wide else _ID_END + 1),
        Column("type"),
        Column("state", 10),
        Column("queue", 12),
        Column("worker", 16 if wide else 12),
        Column("tries", 6, number=True),
        Column("age", 5, number=True),
    )
    rows = [
        (
            job.id if wide else _short_id(job.id),
            job.type,
            "cancelling" if job.cancel_requested else state_text(job),
            job.queue,
            job.worker_id or "",
            f"{job.attempts}/{job.max_attempts}",
            _age(job.created_at, now),
        )
        for job in jobs
    ]
    return Listing(columns, rows)


def _failures(jobs: Sequence[JobView], now: datetime, wide: bool) -> Listing:
    columns = (
        Column("failures", 36 if wide else _ID_END + 1),
        Column("type", 24 if wide else 16),
        Column("tries", 6, number=True),
        Column("ago", 5, number=True),
        Column("error"),
    )
    rows = [
        (
            job.id if wide else _short_id(job.id),
            job.type,
            f"{job.attempts}/{job.max_attempts}",
            _age(job.finished_at or job.updated_at, now),
            f"{job.error.kind}: {job.error.message}" if job.error else "",
        )
        for job in jobs
    ]
    return Listing(columns, rows)


def short(seconds: float | None) -> str:
    """A span in at most six characters: `350us`, `12ms`, `1.2s`, `45s`, `3m`, `2h`, `4d`."""
    if seconds is None:
        return ""
    if 0 < seconds < 0.001:
        return f"{seconds * 1_000_000:.0f}us"
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    return next(f"{int(seconds // unit)}{name}" for least, unit, name in _SPANS if seconds >= least)


def size(count: float) -> str:
    """Bytes: `51M`."""
    found = (f"{count / unit:.3g}{name}" for unit, name in _UNITS if count >= unit)
    return next(found, f"{count:.0f}")


def _age(moment: datetime | None, now: datetime) -> str:
    return "" if moment is None else short(max(float(int((now - moment).total_seconds())), 0.0))


def _short_id(job_id: str) -> str:
    """Its end, since the ids of one hour begin alike."""
    return job_id if len(job_id) <= _ID_END else "…" + job_id[-_ID_END:]
