"""One group, one transaction: the writer's side of the SQLite store.

The order within a transaction is fixed (fleet, successes, inserts, all other changes, purges). All
parts of a group are concurrent, so that any order is one that could have been.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hermesd.core.errors import StoreUnavailable
from hermesd.core.job import Job
from hermesd.core.outcome import Settlement
from hermesd.core.records import Assignment, Verdict
from hermesd.core.states import Move, State
from hermesd.stores.backend import Answers, CommitUnknown, Evidence, Part, Verb
from hermesd.stores.micros import micros, micros_or_none
from hermesd.stores.moves import assigned as assigned_to
from hermesd.stores.moves import unstorable
from hermesd.stores.sqlite import fleet_rows, statements
from hermesd.stores.sqlite.changes import Changes
from hermesd.stores.sqlite.connection import is_busy, open_writer, translated
from hermesd.stores.sqlite.rows import as_json, text
from hermesd.stores.sqlite.submissions import Submissions
from hermesd.stores.sqlite.unit import OrderKeys, Unit

ROWS_IN_LOG: Final = 4000  # rows changed between two checkpoints, about 16 MB of log
ROWS_A_PAGE: Final = 8  # rows that lie side by side, as those of one submission or purge do


class _LateOutcome(Exception):
    """Not every change that was written unseen hit its job: do the group again, looking at each."""


class SqliteWriter:
    """The `Backend` of the group commit; opens its connection in the thread that uses it."""

    def __init__(self, database: Path, busy_timeout_seconds: float) -> None:
        self._database = database
        self._busy_timeout_seconds = busy_timeout_seconds
        self._connection: sqlite3.Connection | None = None
        self._keys = OrderKeys(0)
        self._waits = True  # as a connection is opened
        self._rows_in_log = 0
        self.sync_seconds = 0.0

    def commit(self, parts: Sequence[Part], *, wait: bool = True) -> Answers:
        """See Backend.commit."""
        self._await_locks(wait)
        try:
            answers = self._attempt(parts, look_first=False)
        except _LateOutcome:
            answers = self._attempt(parts, look_first=True)
        self._rows_in_log += sum(map(_rows_in_log, parts))
        return answers

    def needs_tending(self) -> bool:
        """See Backend: the log is copied back after so many rows."""
        return self._rows_in_log >= ROWS_IN_LOG

    def tend_ahead(self) -> None:
        """Copy back what is in the log now, on a connection of its own."""
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(
                open_writer(self._database, self._busy_timeout_seconds)
            ) as connection,
        ):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def tend(self) -> None:
        """Copy back the rest, so that the log begins anew."""
        self._rows_in_log = 0
        with contextlib.suppress(sqlite3.Error, StoreUnavailable):
            self._connected().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _await_locks(self, wait: bool) -> None:
        """Let the connection wait for another program's lock, or not."""
        if wait is not self._waits:
            milliseconds = round(self._busy_timeout_seconds * 1000) if wait else 0
            with translated():
                self._connected().execute(f"PRAGMA busy_timeout={milliseconds}").fetchone()
            self._waits = wait

    def landed(self, evidence: Evidence) -> bool:
        """See Backend.landed; asked on a fresh connection, since the old one is in doubt."""
        self._drop()
        job_id, state, lease = evidence
        query = "SELECT 1 FROM jobs WHERE id = ? AND state = ? AND lease = ?"
        with translated():
            found = self._connected().execute(query, (job_id, state, lease)).fetchone()
        return found is not None

    def instead(self, part: Part, reason: str) -> Part | None:
        """See Backend.instead: an outcome that can't be stored fails its job."""
        if part.verb is not Verb.SETTLE:
            return None
        failure = unstorable(part.items[0], reason)
        return Part(verb=Verb.SETTLE_INSTEAD, items=(failure,), at=part.at)

    def close(self) -> None:
        """See Backend.close."""
        self._drop()

    def _attempt(self, parts: Sequence[Part], *, look_first: bool) -> Answers:
        with translated():
            connection = self._connected()
            try:
                connection.execute("BEGIN IMMEDIATE")
                answers, evidence = apply(connection, self._keys, parts, look_first=look_first)
                self._commit(connection, answers, evidence)
            except BaseException as error:
                self._roll_back(connection, error)
                raise
        return answers

    def _commit(
        self, connection: sqlite3.Connection, answers: Answers, evidence: Evidence | None
    ) -> None:
        begun = time.perf_counter()
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if is_busy(error):
                raise
            raise CommitUnknown(answers, evidence) from error
        self.sync_seconds = time.perf_counter() - begun

    def _roll_back(self, connection: sqlite3.Connection, error: BaseException) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop()
        # After a fault of the disk or file a fresh connection finds out what is true now.
        if isinstance(error, sqlite3.OperationalError) and not is_busy(error):
            self._drop()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = open_writer(self._database, self._busy_timeout_seconds)
            try:
                (last,) = connection.execute(statements.LAST_ORDER_KEY).fetchone()
            except BaseException:
                connection.close()
                raise
            self._keys.at_least(last or 0)
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._waits = True
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def apply(
    connection: sqlite3.Connection, keys: OrderKeys, parts: Sequence[Part], *, look_first: bool
) -> tuple[Answers, Evidence | None]:
    """All statements of one group; with `look_first` each success is checked before it is written.

    Raises _LateOutcome where, without `look_first`, some success or assignment hit no job.
    """
    answers: list[Sequence[Any]] = [()] * len(parts)
    unit = Unit(connection, keys)
    one_by_one: list[int] = []
    inserts: list[int] = []
    purges: list[int] = []
    successes: list[Settlement] = []
    assigned: Assignment | None = None
    for place, part in enumerate(parts):
        if part.verb in fleet_rows.FLEET_VERBS:
            answers[place] = fleet_rows.apply(connection, part.verb, part.items, part.at)
        elif part.verb is Verb.INSERT:
            inserts.append(place)
        elif part.verb is Verb.PURGE:
            purges.append(place)
        elif not look_first and _all_succeed(part):
            successes += part.items
            answers[place] = [Verdict.RECORDED] * len(part.items)
        elif not look_first and _all_known(part):
            answers[place] = _assign(connection, part.items)
            assigned = part.items[0]
        else:
            one_by_one.append(place)
    evidence = _succeed(connection, successes)  # before any job is read into the unit
    if assigned is not None:
        evidence = (assigned.token.job_id, State.RUNNING, assigned.token.lease + 1)
    evidence = _insert(connection, unit, keys, parts, inserts, answers) or evidence
    if one_by_one:
        changes = Changes(connection, unit)
        changes.look_up([parts[place] for place in one_by_one])
        for order, place in enumerate(one_by_one):
            answers[place] = changes.apply(order, parts[place])
        evidence = unit.flush() or evidence
    for place in purges:
        answers[place] = [_purge(connection, ids, parts[place].at) for ids in parts[place].items]
    return answers, evidence


def _rows_in_log(part: Part) -> int:
    """How much a part adds to the log, in rows of a page each."""
    if part.verb is Verb.INSERT:
        neighbours = sum(len(submission.jobs) for submission in part.items)
    elif part.verb is Verb.PURGE:
        neighbours = sum(len(ids) for ids in part.items)
    else:
        neighbours = 0
    return max(len(part.items), neighbours // ROWS_A_PAGE)


def _all_succeed(part: Part) -> bool:
    """Whether a part is of plain successes, which are written without reading their jobs."""
    return part.verb is Verb.SETTLE and all(
        item.move is Move.SUCCEED and item.attempts is None and item.crash_count is None
        for item in part.items
    )


def _all_known(part: Part) -> bool:
    """Whether a part assigns queued jobs that the caller has read, so that they need no reading."""
    return part.verb is Verb.ASSIGN and all(
        item.move is Move.ASSIGN and item.job is not None and item.job.lease == item.token.lease
        for item in part.items
    )


def _assign(connection: sqlite3.Connection, assignments: Sequence[Assignment]) -> list[Job]:
    changes = [assigned_to(one.job, one) for one in assignments]
    jobs = [change.after for change in changes if change is not None]
    rows = [
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
    done = connection.execute(statements.ASSIGN_JOBS, (as_json(rows),)).rowcount
    if done != len(assignments):
        raise _LateOutcome
    return jobs


def _insert(
    connection: sqlite3.Connection,
    unit: Unit,
    keys: OrderKeys,
    parts: Sequence[Part],
    places: Sequence[int],
    answers: list[Sequence[Any]],
) -> Evidence | None:
    if not places:
        return None
    submissions = Submissions(connection, unit, keys)
    submissions.look_up([parts[place].items[0] for place in places])
    for place in places:
        answers[place] = [submissions.admit(parts[place].items[0], parts[place].at)]
    return submissions.flush()


def _succeed(connection: sqlite3.Connection, successes: Sequence[Settlement]) -> Evidence | None:
    if not successes:
        return None
    rows = [
        (
            one.token.job_id,
            one.token.lease,
            None if one.result is None else text(one.result),
            micros(one.at),
            micros_or_none(one.started_at),
        )
        for one in successes
    ]
    if connection.execute(statements.SUCCEED, (as_json(rows),)).rowcount != len(rows):
        raise _LateOutcome
    return (successes[0].token.job_id, "succeeded", successes[0].token.lease)


def _purge(connection: sqlite3.Connection, job_ids: Sequence[str], at: float) -> int:
    ids = fleet_rows.as_json_list(job_ids)
    connection.execute(statements.KEEP_FINAL_STATES, (ids,))
    count = connection.execute(statements.PURGE_JOBS, (ids,)).rowcount
    connection.execute(statements.PURGE_EVENTS, (ids,))
    connection.execute(statements.PURGE_KEYS, (micros(at),))
    return count
