"""The tables of PostgreSQL within one transaction, sent when an answer is needed.

A change that must hit all its rows is looked after by `settle()`, once all answers are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

import msgspec

from hermesd.core.errors import Broken
from hermesd.core.fleet import Incarnation
from hermesd.core.job import Token
from hermesd.stores.hot import HotRows
from hermesd.stores.portion import portion
from hermesd.stores.postgres import statements
from hermesd.stores.postgres.hot import Ready, inserts, ready
from hermesd.stores.postgres.pipe import Answer, Pipe
from hermesd.stores.postgres.records import number, records, text, texts
from hermesd.stores.rows import CHANGING, Row
from hermesd.stores.tables import EVENT, KEY, TYPE, Values

_BEFORE_AND_AFTER = (*statements.BEFORE, *CHANGING)


class PostgresTables:
    """See `stores.tables.Tables`; the transaction has been begun."""

    def __init__(self, pipe: Pipe) -> None:
        self.jobs = PostgresJobTables(pipe)
        self.fleet = PostgresFleetTables(pipe)
        self._pipe = pipe

    def execute(self, statement: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """What both dialects take."""
        answer = self._pipe.send_once(numbered(statement), values)
        self._pipe.collect()
        return answer.rows


class PostgresJobTables:
    """See `stores.tables.JobTables`."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._expected: list[tuple[Answer, int]] = []

    def settle(self) -> None:
        """Raise Broken where a change missed; all answers must be there."""
        for answer, rows in self._expected:
            if answer.count != rows:
                raise Broken(f"{rows - answer.count} jobs were not as they were read")

    def jobs(self, ids: Sequence[str], *, whole: bool = True) -> Sequence[Row]:
        """Those that exist, locked."""
        statement = statements.JOBS_BY_ID if whole else statements.LIGHT_BY_ID
        ((found,),) = self._rows(statement, texts(ids))
        return [] if found is None else msgspec.json.decode(f"[{found}]", type=list[Row])

    def due(self, at_us: int, limit: int) -> Sequence[str]:
        """The earliest first, without those that another api has in hand."""
        return portion(self._rows(statements.DUE_IDS, number(at_us), number(limit)))

    def orphans(self, limit: int) -> Sequence[str]:
        """Without those that another api has in hand."""
        return portion(self._rows(statements.ORPHAN_IDS, number(limit)))

    def living(self, incarnations: Iterable[str]) -> frozenset[str]:
        """Known and not fenced."""
        return frozenset(one for (one,) in self._rows(statements.LIVING, texts(incarnations)))

    def keys(self, names: Sequence[tuple[str, str]]) -> Sequence[Values]:
        """(*KEY, final_state) each; under a lock of each key, since a key may be new."""
        wanted = records(statements.KEY_NAMES, names)
        self._pipe.send(statements.LOCK_KEYS, wanted)
        return self._rows(statements.FIND_KEYS, wanted)

    def insert(self, rows: Sequence[Values]) -> None:
        """New jobs."""
        self._send(inserts(rows))

    def put_keys(self, rows: Sequence[Values]) -> None:
        """New keys, and known ones."""
        self._pipe.send(statements.PUT_KEYS, records(KEY, rows))

    def change(self, rows: Sequence[Values]) -> None:
        """All of them; looked after later."""
        answer = self._pipe.send(statements.CHANGE_JOBS, records(_BEFORE_AND_AFTER, rows))
        self._expected.append((answer, len(rows)))

    def add_events(self, rows: Sequence[Values]) -> None:
        """In their order."""
        self._pipe.send(statements.INSERT_EVENTS, records(EVENT, rows))

    def hand_over(self, rows: Sequence[tuple[str, int, int]]) -> Sequence[Token]:
        """Those that the broker owns now."""
        given = records(("id", "lease", "published_us"), sorted(rows))
        return [Token(*found) for found in self._rows(statements.HAND_OVER, given)]

    def hot(self, rows: HotRows) -> None:
        """One statement a kind; the server refuses one that misses a job."""
        self._send(ready(rows))

    def purge(self, ids: Sequence[str], at_us: int) -> int:
        """How many jobs were deleted; what another api deletes just now is left to it."""
        ended = self._ids(statements.PURGE_IDS, texts(ids))
        if ended:
            gone = texts(ended)
            self._pipe.send(statements.KEEP_FINAL_STATES, gone)
            self._pipe.send(statements.PURGE_JOBS, gone)
            self._pipe.send(statements.PURGE_EVENTS, gone)
        self._pipe.send(statements.PURGE_KEYS, number(at_us))
        return len(ended)

    def _send(self, all_of: Iterable[Ready]) -> None:
        for statement, values, binary in all_of:
            self._pipe.send(statement, *values, binary=binary)

    def _ids(self, statement: str, *values: bytes | None) -> list[str]:
        return [job_id for (job_id,) in self._rows(statement, *values)]

    def _rows(self, statement: str, *values: bytes | None) -> list[tuple[Any, ...]]:
        return _rows(self._pipe, statement, *values)


class PostgresFleetTables:
    """See `stores.tables.FleetTables`."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def register(self, new: Incarnation, at_us: int) -> bool:
        """False where it is fenced."""
        plain = (new.incarnation, new.worker_id, new.address, new.machine)
        return bool(self._rows(statements.REGISTER, *map(text, plain), number(at_us)))

    def heard(self, incarnations: Sequence[str], at_us: int) -> frozenset[str]:
        """Those that are known and not fenced."""
        found = self._rows(statements.HEARD, texts(incarnations), number(at_us))
        return frozenset(incarnation for (incarnation,) in found)

    def fence(self, incarnation: str, latest_us: int) -> bool:
        """True if that was done now."""
        return bool(self._rows(statements.FENCE, text(incarnation), number(latest_us)))

    def count_as_heard(self, at_us: int) -> None:
        """All living ones."""
        self._pipe.send(statements.COUNT_AS_HEARD, number(at_us))

    def forget(self, latest_us: int) -> int:
        """How many."""
        return len(self._rows(statements.FORGET, number(latest_us)))

    def learn(self, rows: Sequence[Values]) -> None:
        """A name that is known is replaced."""
        self._pipe.send(statements.LEARN, records(TYPE, rows))

    def touch(self, at_us: int) -> None:
        """The time of the last check."""
        self._pipe.send(statements.TOUCH, number(at_us))

    def _rows(self, statement: str, *values: bytes | None) -> list[tuple[Any, ...]]:
        return _rows(self._pipe, statement, *values)


def _rows(pipe: Pipe, statement: str, *values: bytes | None) -> list[tuple[Any, ...]]:
    answer = pipe.send(statement, *values)
    pipe.collect()
    return answer.rows


@lru_cache(maxsize=64)
def numbered(statement: str) -> str:
    """With $1, $2 and so on in place of each `?`."""
    numbers: Callable[[], int] = count(1).__next__
    first, *rest = statement.split("?")
    return first + "".join(f"${numbers()}{part}" for part in rest)
