"""The jobs that one transaction looks at: read together, changed in memory, written together."""

from __future__ import annotations

from collections.abc import Iterable

from hermesd.core.job import Job
from hermesd.core.records import EventRecord
from hermesd.stores.backend import Evidence
from hermesd.stores.event_rows import event_row
from hermesd.stores.moves import Change
from hermesd.stores.order import OrderKeys
from hermesd.stores.rows import changing, to_job
from hermesd.stores.tables import JobTables


class Unit:
    """A unit of work over jobs within one transaction."""

    def __init__(self, tables: JobTables, keys: OrderKeys) -> None:
        self._tables = tables
        self._keys = keys
        self._before: dict[str, Job] = {}
        self._now: dict[str, Job] = {}
        self._places: dict[str, int] = {}
        self._events: list[EventRecord] = []

    def load(self, ids: Iterable[str], *, whole: bool = True) -> None:
        """Read those of the jobs that were not read yet, without their payloads unless `whole`."""
        missing = sorted(set(ids) - self._now.keys())
        if not missing:
            return
        for row in self._tables.jobs(missing, whole=whole):
            job = to_job(row)
            self._before[job.id] = self._now[job.id] = job
            self._places[job.id] = row.order_key

    def get(self, job_id: str) -> Job | None:
        """A job that was loaded, with the changes so far; None where there is none."""
        return self._now.get(job_id)

    def apply(self, change: Change | None) -> Job | None:
        """Keep a change for the flush; answers the job after it."""
        if change is None:
            return None
        job = change.after
        self._now[job.id] = job
        if change.new_place:
            self._places[job.id] = self._keys.next(job.enqueued_at or 0.0)
        if change.event is not None:
            self._events.append(change.event)
        return job

    def flush(self) -> Evidence | None:
        """Write all changes under a compare-and-set; answers what proves the commit later."""
        changed = [job for job in self._now.values() if job is not self._before[job.id]]
        if changed:
            self._tables.change([self._row(job) for job in changed])
        if self._events:
            self._tables.add_events([event_row(event) for event in self._events])
        for job in changed:
            before = self._before[job.id]
            if (job.state, job.lease) != (before.state, before.lease):
                return (job.id, str(job.state), job.lease)
        return None

    def _row(self, job: Job) -> tuple[object, ...]:
        before = self._before[job.id]
        return (job.id, before.state, before.lease, *changing(job, self._places[job.id]))
