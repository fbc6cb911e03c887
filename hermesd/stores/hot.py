"""The changes of nearly every job, which are written without a look at the job.

Born, assigned as it was read, succeeded: what is to be written is known, and one compare-and-set
tells whether it hit. Where one change hits nothing, none is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from hermesd.core.job import Job
from hermesd.core.outcome import Settlement
from hermesd.core.records import Assignment, Submitted, Verdict
from hermesd.core.states import Move
from hermesd.stores.backend import Evidence, Part, Verb
from hermesd.stores.insertion import admitted
from hermesd.stores.micros import micros, micros_or_none
from hermesd.stores.moves import assigned
from hermesd.stores.order import OrderKeys
from hermesd.stores.rows import row_of, text

SUCCEEDED: Final = ("id", "lease", "result", "at", "started_us")
ASSIGNED: Final = (
    "id",
    "old_lease",
    "lease",
    "attempts",
    "rung",
    "assigned_by",
    "worker_id",
    "incarnation",
    "updated_us",
    "started_us",
)


class HotRows:
    """The rows of one group, and what their parts are answered when it is committed.

    `newborn` has jobs with their places, `succeeded` the values of SUCCEEDED, `assigned` those of
    ASSIGNED.
    `mark` is the time at which the job of `evidence` has ended, or was assigned: another one's
    change can have left the job in the same state under the same lease.
    """

    def __init__(self, keys: OrderKeys) -> None:
        self._keys = keys
        self.newborn: list[tuple[Job, int]] = []
        self.succeeded: list[tuple[Any, ...]] = []
        self.assigned: list[tuple[Any, ...]] = []
        self.evidence: Evidence | None = None  # None as long as there is nothing to write
        self.mark: int | None = None  # what else its job has only by this change, in micros

    def add(self, part: Part) -> list[Any] | None:
        """The answers to the part's items; None, and nothing added, for a part of another kind."""
        if part.verb is Verb.BEAR:
            return self._bear(part.items, part.at)
        if part.verb is Verb.INSERT:
            (submission,) = part.items
            if any(submission.keys):
                return None
            return [[Submitted(job=job) for job in self._bear(submission.jobs, part.at)]]
        if part.verb is Verb.SETTLE and all(map(_is_plain_success, part.items)):
            return self._succeed(part.items)
        if part.verb is Verb.ASSIGN and all(map(_is_known, part.items)):
            return self._assign(part.items)
        return None

    @cached_property
    def born(self) -> list[tuple[Any, ...]]:
        """The values of `rows.COLUMNS` of all new jobs; asked for when nothing more is added."""
        return [row_of(job, place) for job, place in self.newborn]

    def _bear(self, asked: Sequence[Job], at: float) -> list[Job]:
        jobs = [admitted(job, at) for job in asked]
        place = self._keys.next
        self.newborn += [(job, place(at)) for job in jobs]
        self.evidence = (jobs[0].id, str(jobs[0].state), jobs[0].lease)
        return jobs

    def _succeed(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        self.succeeded += [
            (
                one.token.job_id,
                one.token.lease,
                None if one.result is None else text(one.result),
                micros(one.at),
                micros_or_none(one.started_at),
            )
            for one in settlements
        ]
        token = settlements[0].token
        self.evidence = (token.job_id, "succeeded", token.lease)
        self.mark = micros(settlements[0].at)
        return [Verdict.RECORDED] * len(settlements)

    def _assign(self, assignments: Sequence[Assignment]) -> list[Job] | None:
        changes = [assigned(one.job, one) for one in assignments]
        jobs = [change.after for change in changes if change is not None]
        if len(jobs) != len(assignments):
            return None
        self.assigned += [
            (
                job.id,
                job.lease - 1,
                job.lease,
                job.attempts,
                job.rung,
                job.assigned_by,
                job.worker_id,
                job.incarnation,
                micros(job.updated_at),
                micros_or_none(job.started_at),
            )
            for job in jobs
        ]
        self.evidence = (jobs[0].id, "running", jobs[0].lease)
        self.mark = micros_or_none(jobs[0].started_at)
        return jobs


def _is_plain_success(item: Settlement) -> bool:
    """Whether it is written without reading its job."""
    return item.move is Move.SUCCEED and item.attempts is None and item.crash_count is None


def _is_known(item: Assignment) -> bool:
    """Whether it is of a queued job that the caller has read, so that it needs no reading."""
    job = item.job
    return item.move is Move.ASSIGN and job is not None and job.lease == item.token.lease
