"""One group, one transaction: the writer's side of the SQLite store.

The order within a transaction is fixed (fleet, what is hot, hand-overs, all other changes, purges).
All parts of a group are concurrent, so that any order is one that could have been.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from hermesd.core.errors import StoreUnavailable
from hermesd.stores.backend import Answers, CommitUnknown, Evidence, Part, Verb
from hermesd.stores.broker_moves import failed_instead
from hermesd.stores.micros import micros
from hermesd.stores.moves import unstorable
from hermesd.stores.sqlite import fleet_rows, hot, outbox, statements
from hermesd.stores.sqlite.changes import Changes
from hermesd.stores.sqlite.connection import (
    is_busy,
    is_of_item,
    open_writer,
    primary_code,
    translated,
)
from hermesd.stores.sqlite.hot import HOT, HotRows
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

    def at_once(self, parts: Sequence[Part]) -> Callable[[], Answers] | None:
        """See Backend.at_once."""
        connection = self._connection
        if connection is None:
            return None
        rows = HotRows(self._keys)
        answers = []
        with translated():
            for part in parts:
                answer = rows.add(part)
                if answer is None:
                    return None
                answers.append(answer)
            values = rows.values()
        weight = sum(map(_rows_in_log, parts))
        return partial(self._run_hot, connection, values, answers, rows.evidence, weight)

    def commit(self, parts: Sequence[Part], *, wait: bool = True) -> Answers:
        """See Backend.commit."""
        self._await_locks(wait=wait)
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

    def _await_locks(self, *, wait: bool) -> None:
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
        if part.verb is Verb.SETTLE:
            failure = unstorable(part.items[0], reason)
            return Part(verb=Verb.SETTLE_INSTEAD, items=(failure,), at=part.at)
        if part.verb is Verb.SETTLE_PULLED:
            outcome, at = part.items[0]
            item = (failed_instead(outcome, at, reason), at)
            return Part(verb=Verb.SETTLE_PULLED_INSTEAD, items=(item,), at=part.at)
        return None

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

    def _run_hot(
        self,
        connection: sqlite3.Connection,
        values: tuple[Any, ...],
        answers: Answers,
        evidence: Evidence | None,
        weight: int,
    ) -> Answers:
        """The whole transaction: in one call, which gives up the interpreter's lock once."""
        self._await_locks(wait=False)
        try:
            connection.execute(HOT, values)
        except sqlite3.Error as error:
            if is_busy(error) or is_of_item(error) or not primary_code(error):
                with translated():  # nothing was done
                    raise
            raise CommitUnknown(answers, evidence) from error
        self._rows_in_log += weight
        return answers

    def _commit(
        self, connection: sqlite3.Connection, answers: Answers, evidence: Evidence | None
    ) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if is_busy(error):
                raise
            raise CommitUnknown(answers, evidence) from error

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
                hot.prepare(connection)
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
    """All statements of one group; with `look_first` each job is read before it is changed.

    Raises _LateOutcome where, without `look_first`, some success or assignment hit no job.
    """
    answers: list[Sequence[Any]] = [()] * len(parts)
    unit = Unit(connection, keys)
    rows = HotRows(keys)
    one_by_one: list[int] = []
    keyed: list[int] = []
    handovers: list[int] = []
    purges: list[int] = []
    for place, part in enumerate(parts):
        if part.verb in fleet_rows.FLEET_VERBS:
            answers[place] = fleet_rows.apply(connection, part.verb, part.items, part.at)
        elif part.verb is Verb.PURGE:
            purges.append(place)
        elif part.verb is Verb.HAND_OVER:
            handovers.append(place)
        elif part.verb is Verb.INSERT:
            answer = rows.add(part)
            if answer is None:
                keyed.append(place)
            else:
                answers[place] = answer
        elif look_first or (answer := rows.add(part)) is None:
            one_by_one.append(place)
        else:
            answers[place] = answer
    _write_hot(connection, rows)  # before any job is read into the unit
    if handovers:
        handed = outbox.hand_over(connection, [parts[place] for place in handovers])
        for place, answer in zip(handovers, handed, strict=True):
            answers[place] = answer
    evidence = _insert(connection, unit, keys, parts, keyed, answers) or rows.evidence
    if one_by_one:
        changes = Changes(connection, unit)
        changes.look_up([parts[place] for place in one_by_one])
        for order, place in enumerate(one_by_one):
            answers[place] = changes.apply(order, parts[place])
        evidence = unit.flush() or evidence
    for place in purges:
        answers[place] = [_purge(connection, ids, parts[place].at) for ids in parts[place].items]
    return answers, evidence


def _write_hot(connection: sqlite3.Connection, rows: HotRows) -> None:
    if rows.evidence is None:
        return
    try:
        connection.execute(HOT, rows.values())
    except sqlite3.Error as error:
        if hot.is_late(error):
            raise _LateOutcome from error
        raise


def _rows_in_log(part: Part) -> int:
    """How much a part adds to the log, in rows of a page each."""
    if part.verb is Verb.INSERT:
        (submission,) = part.items
        neighbours = len(submission.jobs)
    elif part.verb is Verb.PURGE:
        neighbours = sum(len(ids) for ids in part.items)
    else:
        neighbours = 0
    return max(len(part.items), neighbours // ROWS_A_PAGE)


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


def _purge(connection: sqlite3.Connection, job_ids: Sequence[str], at: float) -> int:
    ids = fleet_rows.as_json_list(job_ids)
    connection.execute(statements.KEEP_FINAL_STATES, (ids,))
    count = connection.execute(statements.PURGE_JOBS, (ids,)).rowcount
    connection.execute(statements.PURGE_EVENTS, (ids,))
    connection.execute(statements.PURGE_KEYS, (micros(at),))
    return count
