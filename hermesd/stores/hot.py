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
from hermesd.stores.insertion import admitted_all
from hermesd.stores.micros import micros
from hermesd.stores.moves import at_worker
from hermesd.stores.order import OrderKeys
from hermesd.stores.rows import row_of

# To name a member of an enumeration takes three times as long as a global.
_SUCCEED: Final = Move.SUCCEED
_ASSIGN: Final = Move.ASSIGN

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


def may_wait(part: Part) -> bool:
    """Whether it is a success, of which nothing has to be read: it harms no commit it goes with."""
    if part.verb is not Verb.SETTLE:
        return False
    return all(map(_is_plain_success, part.items))


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
        if part.verb is Verb.SETTLE:
            return self._succeed(part.items)
        if part.verb is Verb.ASSIGN:
            return self._assign(part.items)
        return None

    @cached_property
    def born(self) -> list[tuple[Any, ...]]:
        """The values of `rows.COLUMNS` of all new jobs; asked for when nothing more is added."""
        return [row_of(job, place) for job, place in self.newborn]

    def _bear(self, asked: Sequence[Job], at: float) -> list[Job]:
        jobs = admitted_all(asked, at)
        self.newborn += zip(jobs, self._keys.several(at, len(jobs)), strict=True)
        self.evidence = (jobs[0].id, str(jobs[0].state), jobs[0].lease)
        return jobs

    def _succeed(self, settlements: Sequence[Settlement]) -> list[Verdict] | None:
        """None, and nothing added, unless each is written without reading its job."""
        rows: list[tuple[Any, ...]] = []
        at, at_us = 0.0, 0  # many share their times
        since, since_us = 0.0, 0
        for one in settlements:
            if not _is_plain_success(one):
                return None
            token, result, started = one.token, one.result, one.started_at
            if one.at != at:
                at, at_us = one.at, micros(one.at)
            if started is not None and started != since:
                since, since_us = started, micros(started)
            told = None if result is None else str(result, "utf-8")
            begun = None if started is None else since_us
            rows.append((token.job_id, token.lease, told, at_us, begun))
        self.succeeded += rows
        token = settlements[0].token
        self.evidence = (token.job_id, "succeeded", token.lease)
        self.mark = micros(settlements[0].at)
        return [Verdict.RECORDED] * len(settlements)

    def _assign(self, assignments: Sequence[Assignment]) -> list[Job] | None:
        """None, and nothing added, unless each is of a queued job that the caller has read."""
        jobs: list[Job] = []
        rows: list[tuple[Any, ...]] = []
        for one in assignments:
            job = at_worker(one.job, one) if one.move is _ASSIGN else None
            if job is None:
                return None
            jobs.append(job)
            lease, at_us = job.lease, micros(job.updated_at)
            own = (job.id, lease - 1, lease, job.attempts)
            to = (job.rung, job.assigned_by, job.worker_id, job.incarnation)
            rows.append((*own, *to, at_us, at_us))
        self.assigned += rows
        self.evidence = (jobs[0].id, "running", jobs[0].lease)
        self.mark = rows[0][-1]
        return jobs


def _is_plain_success(item: Settlement) -> bool:
    """Whether it is written without reading its job."""
    return item.move is _SUCCEED and item.attempts is None and item.crash_count is None
