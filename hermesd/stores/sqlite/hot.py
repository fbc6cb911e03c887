"""The changes of nearly every job as one statement: born, assigned as it was read, succeeded.

SQLite runs one statement for one call of Python's, without the interpreter's lock; outside of a
transaction it is one by itself, so that a thread commits a whole group, disk included, and meets
the event loop only once, at the end. What makes several statements one is a view that nobody
reads: inserting into it sets off triggers. They also do the comparing: where one change hits
nothing, none is made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from hermesd.core.job import Job
from hermesd.core.outcome import Settlement
from hermesd.core.records import Assignment, Submission, Submitted, Verdict
from hermesd.core.states import Move
from hermesd.stores.backend import Evidence, Part, Verb
from hermesd.stores.micros import micros, micros_or_none
from hermesd.stores.moves import admitted, assigned
from hermesd.stores.sqlite.rows import as_json, changing, identity, text
from hermesd.stores.sqlite.statements import ASSIGN_ALL, INSERT_ALL, SUCCEED_ALL
from hermesd.stores.sqlite.unit import OrderKeys

HOT: Final = "INSERT INTO hot VALUES (?, ?, ?, ?, ?)"

_LATE: Final = "a change hit no job"
_UNLESS_ALL: Final = f"SELECT RAISE(ABORT, '{_LATE}') WHERE changes() <>"
_VIEW: Final = (
    "CREATE TEMP VIEW hot AS SELECT NULL AS born, NULL AS succeeded, 0 AS successes, "
    "NULL AS assigned, 0 AS assignments"
)
_TRIGGERS: Final = (
    ("born", f"{INSERT_ALL};"),
    ("succeeded", f"{SUCCEED_ALL}; {_UNLESS_ALL} NEW.successes;"),
    ("assigned", f"{ASSIGN_ALL}; {_UNLESS_ALL} NEW.assignments;"),
)


def prepare(connection: sqlite3.Connection) -> None:
    """Give a fresh connection the view and the triggers that HOT needs; the file has none."""
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(_VIEW)
    for column, body in _TRIGGERS:
        connection.execute(
            f"CREATE TEMP TRIGGER hot_{column} INSTEAD OF INSERT ON hot "
            f"WHEN NEW.{column} IS NOT NULL BEGIN {body.replace('(?)', f'(NEW.{column})')} END"
        )


def is_late(error: sqlite3.Error) -> bool:
    """Whether HOT failed since a change hit no job: some token was old."""
    return error.args[:1] == (_LATE,)


class HotRows:
    """The rows of one HOT statement, and what their parts are answered when it is committed."""

    def __init__(self, keys: OrderKeys) -> None:
        self._keys = keys
        self._born: list[tuple[Any, ...]] = []
        self._succeeded: list[tuple[Any, ...]] = []
        self._assigned: list[tuple[Any, ...]] = []
        self.evidence: Evidence | None = None  # None as long as there is nothing to write

    def add(self, part: Part) -> list[Any] | None:
        """The answers to the part's items; None, and nothing added, for a part of another kind."""
        if part.verb is Verb.INSERT:
            (submission,) = part.items
            return None if any(submission.keys) else [self._bear(submission, part.at)]
        if part.verb is Verb.SETTLE and all(map(_is_plain_success, part.items)):
            return self._succeed(part.items)
        if part.verb is Verb.ASSIGN and all(map(_is_known, part.items)):
            return self._assign(part.items)
        return None

    def values(self) -> tuple[Any, ...]:
        """The parameters of HOT; raises ItemFault or the encoder's errors."""
        return (
            as_json(self._born) if self._born else None,
            as_json(self._succeeded) if self._succeeded else None,
            len(self._succeeded),
            as_json(self._assigned) if self._assigned else None,
            len(self._assigned),
        )

    def _bear(self, submission: Submission, at: float) -> list[Submitted]:
        jobs = [admitted(job, at) for job in submission.jobs]
        place = self._keys.next
        self._born += [identity(job) + changing(job, place(at)) for job in jobs]
        self.evidence = (jobs[0].id, str(jobs[0].state), jobs[0].lease)
        return [Submitted(job=job) for job in jobs]

    def _succeed(self, settlements: Sequence[Settlement]) -> list[Verdict]:
        self._succeeded += [
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
        return [Verdict.RECORDED] * len(settlements)

    def _assign(self, assignments: Sequence[Assignment]) -> list[Job] | None:
        changes = [assigned(one.job, one) for one in assignments]
        jobs = [change.after for change in changes if change is not None]
        if len(jobs) != len(assignments):
            return None
        self._assigned += [
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
        return jobs


def _is_plain_success(item: Settlement) -> bool:
    """Whether it is written without reading its job."""
    return item.move is Move.SUCCEED and item.attempts is None and item.crash_count is None


def _is_known(item: Assignment) -> bool:
    """Whether it is of a queued job that the caller has read, so that it needs no reading."""
    job = item.job
    return item.move is Move.ASSIGN and job is not None and job.lease == item.token.lease
