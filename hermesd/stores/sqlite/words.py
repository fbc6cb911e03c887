"""The words of `stores.search` in SQLite's dialect."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hermesd.core.job import Job
from hermesd.core.records import JobFilter
from hermesd.core.states import State
from hermesd.stores.micros import micros_or_none
from hermesd.stores.rows import Row, to_job
from hermesd.stores.search import Terms, haystack, needle_of, sieve_of
from hermesd.stores.sqlite import statements
from hermesd.stores.sqlite.connection import Connection
from hermesd.stores.sqlite.rows import as_json_list, fetch, fetch_ids

_GIVEN_IDS: Final = "SELECT value AS id FROM json_each(?)"
_AMONG: Final = "IN (SELECT value FROM json_each(?))"
_LABELLED: Final = "EXISTS (SELECT 1 FROM json_each(labels) AS l WHERE l.key = ? AND l.value = ?)"


class SqliteWords:
    """See `search.Words`. Rows come as one JSON text, in one step of SQLite (see `rows`)."""

    payload_bytes = "length(CAST(payload AS BLOB))"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def source(self, state: State | None, span: str, *, whole: bool) -> str:
        """SQLite keeps no statistics here: which index to take is said.

        Those of live jobs are not by id: they are gone through as they are, without the rows, and
        of the rows only those of the span are read.
        """
        if state is None:
            return f"FROM jobs WHERE {span}"
        found = f"FROM jobs INDEXED BY jobs_{state} WHERE state = '{state}' AND {span}"
        if state is State.FAILED or not whole:
            return found
        # The limit keeps it apart from the rest, where it would be given the rows after all.
        return (
            f"FROM (SELECT id AS place {found} LIMIT -1) CROSS JOIN jobs ON id = place WHERE true"
        )

    def terms(self, wanted: JobFilter) -> Terms:
        """Each with its values."""
        terms: Terms = []
        for column, among in (
            ("type", wanted.types),
            ("queue", wanted.queues),
            ("id", wanted.ids),
            ("priority", wanted.priorities),
        ):
            if among:
                terms.append((f"{column} {_AMONG}", [msgspec.json.encode(among).decode()]))
        terms += [(_LABELLED, list(label)) for label in wanted.labels]
        if wanted.text:
            needle = needle_of(wanted.text)
            within = f"(instr(lower(id), ?) > 0 OR instr({haystack(needle)}, ?) > 0)"
            terms.append((within, [needle, needle]))
        terms += [
            (condition, [value]) for condition, value in _compared(wanted) if value is not None
        ]
        sieve = sieve_of(wanted)
        if sieve is not None:
            terms.append(("substr(error, 1, length(?)) = ?", [sieve, sieve]))
        return terms

    def rows(
        self, columns: Sequence[str], statement: str, values: Sequence[Any]
    ) -> Sequence[Sequence[Any]]:
        """Those of a statement."""
        packed = f"SELECT json_group_array(json_array({', '.join(columns)})) FROM ({statement})"
        (found,) = self._connection.execute(packed, values).fetchone()
        return msgspec.json.decode(found, type=list[list[Any]])

    def jobs(self, ids: Sequence[str]) -> Sequence[Job]:
        """Those that exist."""
        return [to_job(row) for row in by_ids(ids, self._connection)]

    def portion(self, ids: Sequence[str]) -> Sequence[str]:
        """The first of them."""
        given = as_json_list(ids)
        return fetch_ids(self._connection, _GIVEN_IDS, (given,), len(ids))


def _compared(wanted: JobFilter) -> Sequence[tuple[str, Any]]:
    return (
        ("worker_id = ?", wanted.worker_id),
        ("created_us >= ?", micros_or_none(wanted.created_after)),
        ("created_us < ?", micros_or_none(wanted.created_before)),
        ("finished_us >= ?", micros_or_none(wanted.finished_after)),
        ("finished_us < ?", micros_or_none(wanted.finished_before)),
    )


def by_ids(
    job_ids: Sequence[str], connection: sqlite3.Connection, *, brief: bool = False
) -> list[Row]:
    """The rows of those jobs that exist, in no particular order; `brief`: see `ports.JobReader`."""
    statement = statements.BRIEF_BY_ID if brief else statements.JOBS_BY_ID
    return fetch(connection, statement, (as_json_list(sorted(set(job_ids))),))
