"""One group, one transaction: the writer's side of the SQLite store."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from hermesd.core.errors import StoreUnavailable
from hermesd.stores.backend import Answers, CommitUnknown, Evidence, Part, Verb
from hermesd.stores.hot import HotRows
from hermesd.stores.order import OrderKeys
from hermesd.stores.sqlite import hot, log, statements
from hermesd.stores.sqlite.connection import (
    Connection,
    is_busy,
    is_of_item,
    open_writer,
    primary_code,
    translated,
)
from hermesd.stores.sqlite.job_tables import SqliteTables
from hermesd.stores.tables import LateChange
from hermesd.stores.transaction import apply, instead

ROWS_IN_LOG: Final = 4000  # rows changed between two checkpoints, 4 to 48 MB of log
ROWS_TO_STRETCH: Final = 200  # rows changed, and a log will be used enough to be made long at once
ROWS_A_PAGE: Final = 8  # rows that lie side by side, as those of one submission or purge do


class SqliteWriter:
    """The `Backend` of the group commit; opens its connection in the thread that uses it."""

    def __init__(self, database: Path, busy_timeout_seconds: float) -> None:
        self._database = database
        self._busy_timeout_seconds = busy_timeout_seconds
        self._connection: Connection | None = None
        self._keys = OrderKeys(0)
        self._waits = True  # as a connection is opened
        self._rows_in_log = 0
        self._stretched = False
        self._copied = False

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
            statement = hot.statement(rows)
        weight = sum(map(_rows_in_log, parts))
        return partial(self._run_hot, connection, statement, answers, rows.evidence, weight)

    def commit(self, parts: Sequence[Part], *, wait: bool = True) -> Answers:
        """See Backend.commit."""
        self._await_locks(wait=wait)
        try:
            answers = self._attempt(parts, look_first=False)
        except LateChange:
            answers = self._attempt(parts, look_first=True)
        self._rows_in_log += sum(map(_rows_in_log, parts))
        return answers

    def needs_tending(self) -> bool:
        """See Backend: the log is copied back after so many rows, and once it is made long."""
        return self._rows_in_log >= (ROWS_IN_LOG if self._stretched else ROWS_TO_STRETCH)

    def tend_ahead(self) -> None:
        """Copy back what is in the log, on a connection of its own; the first time, stretch it."""
        self._copied = self._stretched
        self._stretched = True
        tended = log.copy_back if self._copied else log.stretch
        tended(self._database, self._busy_timeout_seconds)

    def tend(self) -> None:
        """Copy back the rest, so that the log begins anew."""
        if not self._copied:
            return
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
        return instead(part, reason)

    def close(self) -> None:
        """See Backend.close."""
        self._drop()

    def _attempt(self, parts: Sequence[Part], *, look_first: bool) -> Answers:
        with translated():
            connection = self._connected()
            try:
                connection.execute("BEGIN IMMEDIATE")
                answers, evidence = apply(
                    SqliteTables(connection), self._keys, parts, look_first=look_first
                )
                self._commit(connection, answers, evidence)
            except BaseException as error:
                self._roll_back(connection, error)
                raise
        return answers

    def _run_hot(
        self,
        connection: sqlite3.Connection,
        statement: hot.Statement,
        answers: Answers,
        evidence: Evidence | None,
        weight: int,
    ) -> Answers:
        """The whole transaction: in one call, which gives up the interpreter's lock once."""
        self._await_locks(wait=False)
        try:
            hot.run(connection, statement)
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

    def _connected(self) -> Connection:
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
