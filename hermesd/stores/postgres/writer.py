"""One group, one transaction: the writer's side of the PostgreSQL store.

What needs no look (see `stores.hot`) is one round on the event loop's own thread: its statements
with the end of their transaction. Anything else is two on the other thread: all statements, then
COMMIT. Until the end is sent, a connection that is lost has done nothing, and the group is repeated
on another one; afterwards the server is asked what became of the transaction.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import psycopg

from hermesd.core.errors import OutcomeUnknown, StoreUnavailable
from hermesd.stores.backend import Answers, Evidence, Part
from hermesd.stores.hot import HotRows
from hermesd.stores.micros import seconds
from hermesd.stores.order import OrderKeys
from hermesd.stores.postgres import statements
from hermesd.stores.postgres.comeback import Comeback
from hermesd.stores.postgres.connection import (
    WRITER_SETTINGS,
    Line,
    Lost,
    Refused,
    encoding,
    open_connection,
    told,
    translated,
)
from hermesd.stores.postgres.fate import Backend, Fate, landed
from hermesd.stores.postgres.hot import lone_success, ready
from hermesd.stores.postgres.pipe import Pipe
from hermesd.stores.postgres.tables import PostgresTables
from hermesd.stores.postgres.timing import DatabaseTime
from hermesd.stores.transaction import apply, instead

TRIES: Final = 4  # of one group, on as many connections or after as many conflicts
LOOK_SECONDS: Final = 3.0  # for a server that is away to come back and tell of a commit
LOOK_AGAIN_SECONDS: Final = 0.1


class _Doubt(Exception):
    """The COMMIT was sent, and not answered."""

    def __init__(self, answers: Answers, fate: Fate) -> None:
        super().__init__("the commit's fate is unknown")
        self.answers = answers
        self.fate = fate


class PostgresWriter:
    """The `Backend` of the group commit; opens its connection in the thread that uses it."""

    def __init__(self, line: Line, there: DatabaseTime, comeback: Comeback) -> None:
        self.repeats = 0  # transactions that were done again
        self._line = line
        self._there = there
        self._pipe: Pipe | None = None
        self._backend = Backend(0, "", None)
        self._keys = OrderKeys(0)
        self._comeback = comeback
        self._doubt: _Doubt | None = None  # what `ahead` has left to `commit`
        self._look_first = False

    async def ahead(self, parts: Sequence[Part]) -> Answers | None:
        """Commit what needs no look in one round; None where `commit` has to do it.

        That is to be called next then, with the same parts: it finds out what has become of them.
        A thread has to be woken and fights for the interpreter's lock with a loop that is busy.
        """
        pipe, rows, answers = self._pipe, HotRows(self._keys), []
        if pipe is None or not pipe.silent:
            return None
        for part in parts:
            answer = rows.add(part)
            if answer is None:
                return None
            answers.append(answer)
        alone = lone_success(rows)
        all_of = [alone] if alone else ready(rows)
        made = rows.born[0][0] if rows.born else None
        try:
            for statement, values, binary in all_of:
                last = pipe.send(statement, *values, binary=binary)
            await pipe.end()
            self._look_first = alone is not None and last.count == 0
            return None if self._look_first else answers
        except Refused as refused:
            if not refused.ends:  # the server has undone all of it
                self._look_first = refused.missed
                self.repeats += refused.conflict
                return None
        except Exception:  # Lost, or a defect: after the first byte it may be committed
            pass
        self._doubt = _Doubt(answers, Fate(None, self._backend, rows.evidence, made, rows.mark))
        self._drop()
        return None

    def at_once(self, parts: Sequence[Part]) -> Callable[[], Answers] | None:
        """See Backend.at_once: never, since the other thread waits for the server best."""
        return None

    def commit(self, parts: Sequence[Part], *, wait: bool = True) -> Answers:
        """See Backend.commit; what can be repeated is, a few times. Raises OutcomeUnknown too."""
        look_first, self._look_first = self._look_first, False
        doubt, self._doubt = self._doubt, None
        if doubt is not None:
            if self._landed(doubt):
                return doubt.answers
            self.repeats += 1
        for _ in range(TRIES):
            try:
                return self._attempt(parts, look_first=look_first)
            except _Doubt as doubt:
                if self._landed(doubt):
                    return doubt.answers
                error = "the connection was lost at the commit"
            except Lost as lost:
                error = told(lost)
            except Refused as refused:
                if refused.missed and not look_first:
                    look_first, error = True, "a change hit no job"
                    continue
                if not refused.conflict:
                    with translated():
                        raise
                error = told(refused)
            self.repeats += 1
        raise StoreUnavailable(f"PostgreSQL: {error}")

    def landed(self, evidence: Evidence) -> bool:
        """See Backend.landed; never asked, since `commit` finds out itself."""
        raise StoreUnavailable("PostgreSQL: nothing to look up")

    def instead(self, part: Part, reason: str) -> Part | None:
        """See Backend.instead."""
        return instead(part, reason)

    def needs_tending(self) -> bool:
        """See Backend: the server sees to itself."""
        return False

    def tend_ahead(self) -> None:
        """Nothing."""

    def tend(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """See Backend.close."""
        self._drop()

    def _attempt(self, parts: Sequence[Part], *, look_first: bool) -> Answers:
        pipe = self._connected()
        try:
            return self._transact(pipe, parts, look_first=look_first)
        except (Lost, _Doubt):
            self._drop()
            raise
        except BaseException as error:
            self._roll_back(pipe)
            if isinstance(error, Refused) and error.ends:
                raise Lost(told(error)) from error
            raise

    def _transact(self, pipe: Pipe, parts: Sequence[Part], *, look_first: bool) -> Answers:
        tables = PostgresTables(pipe)
        sent = time.monotonic()
        pipe.send("BEGIN")
        with encoding():
            answers, evidence = apply(tables, self._keys, parts, look_first=look_first)
        written = pipe.send(statements.XID)
        pipe.collect()
        ((xid, there_us),) = written.rows
        self._there.measured(seconds(there_us), sent, time.monotonic())
        tables.jobs.settle()
        pipe.send("COMMIT")
        try:
            pipe.collect(end=True)
        except (Lost, Refused) as error:
            if xid is None:  # nothing was written
                raise Lost(told(error)) from error
            raise _Doubt(answers, Fate(xid, self._backend, evidence)) from error
        return answers

    def _roll_back(self, pipe: Pipe) -> None:
        try:
            with contextlib.suppress(Refused):
                pipe.collect(end=True)
            pipe.send("ROLLBACK")
            pipe.collect(end=True)
        except (Lost, Refused):
            self._drop()

    def _landed(self, doubt: _Doubt) -> bool:
        """Raises OutcomeUnknown where the server does not tell within a moment."""
        until = time.monotonic() + LOOK_SECONDS
        while True:
            try:
                self._comeback.worked()  # there is nothing else to do meanwhile
                pipe = self._connected()
                return landed(pipe, doubt.fate, self._backend.life)
            except (StoreUnavailable, Lost, Refused) as error:
                self._drop()
                if time.monotonic() > until:
                    detail = "the store did not tell whether the change was committed"
                    raise OutcomeUnknown(detail) from error
            time.sleep(LOOK_AGAIN_SECONDS)  # in the store's own thread

    def _connected(self) -> Pipe:
        """Raises StoreUnavailable where the server is away, at once if it just was; Lost."""
        if self._pipe is not None:
            return self._pipe
        left = self._comeback.seconds_left(time.monotonic())
        if left > 0:
            raise StoreUnavailable(self._comeback.trouble, retry_after_seconds=left)
        try:
            with translated():
                connection = open_connection(self._line, "writer", WRITER_SETTINGS)
            self._pipe = self._greeted(Pipe(connection))
        except StoreUnavailable as error:
            self._comeback.failed(time.monotonic(), random.random(), error.detail)
            raise
        self._comeback.worked()
        return self._pipe

    def _greeted(self, pipe: Pipe) -> Pipe:
        try:
            pipe.send(statements.SYNCED)
            last = pipe.send(statements.LAST_ORDER_KEY)
            pipe.collect(end=True)
            sent = time.monotonic()
            own = pipe.send(statements.SELF)
            pipe.collect(end=True)
            ((pid, started, life, standby, there_us),) = own.rows
            if standby:
                raise StoreUnavailable("PostgreSQL: the server is a standby: read-only")
            self._there.measured(seconds(there_us), sent, time.monotonic())
            self._backend = Backend(pid, started, life)
            self._keys.at_least(last.rows[0][0] or 0)
        except BaseException as error:
            pipe.close()
            if isinstance(error, Refused):
                raise StoreUnavailable(f"PostgreSQL: {told(error)}") from error
            raise
        return pipe

    def _drop(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            with contextlib.suppress(psycopg.Error):
                pipe.close()
