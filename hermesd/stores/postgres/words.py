"""The words of `stores.search` in PostgreSQL's dialect.

Labels and errors are JSON texts as msgspec writes them, and are searched as texts: PostgreSQL
cannot take all of them for JSON (`\\u0000`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hermesd.core.job import Job
from hermesd.core.records import JobFilter
from hermesd.core.states import State
from hermesd.stores.micros import micros_or_none
from hermesd.stores.portion import portion
from hermesd.stores.postgres.connection import BoundedConnection
from hermesd.stores.postgres.statements import SIZE
from hermesd.stores.rows import QUALIFIED, Row, to_job
from hermesd.stores.search import Terms, haystack, needle_of, sieve_of

BRIEF: Final = QUALIFIED.replace("jobs.payload", "''").replace("jobs.result", "NULL")
BY_IDS: Final = f"SELECT {QUALIFIED} FROM jobs WHERE id = ANY(%s)"
BRIEF_BY_IDS: Final = f"SELECT {BRIEF} FROM jobs WHERE id = ANY(%s)"
SIZES: Final = f"SELECT id, {SIZE} FROM jobs WHERE id = ANY(%s)"
# No text within the JSON has a bare quote after a brace or comma.
_LABELLED: Final = "(strpos(labels, ?) > 0 OR strpos(labels, ?) > 0)"


class PostgresWords:
    """See `search.Words`."""

    payload_bytes = "octet_length(payload)"

    def __init__(self, connection: BoundedConnection) -> None:
        self._connection = connection

    def source(self, state: State | None, span: str, *, whole: bool) -> str:
        """The server finds the index by itself."""
        own = "" if state is None else f"state = '{state}' AND "
        return f"FROM jobs WHERE {own}{span}"

    def terms(self, wanted: JobFilter) -> Terms:
        """Each with its values."""
        plain = _plain(wanted)
        terms: Terms = [(term, [value]) for term, value in plain if value not in (None, [])]
        for label in wanted.labels:
            pair = ":".join(map(_json, label))
            terms.append((_LABELLED, ["{" + pair, "," + pair]))
        if wanted.text:
            needle = needle_of(wanted.text)
            within = f"(strpos(lower(id), ?) > 0 OR strpos({haystack(needle)}, ?) > 0)"
            terms.append((within, [needle, needle]))
        return terms

    def rows(
        self, columns: Sequence[str], statement: str, values: Sequence[Any]
    ) -> Sequence[Sequence[Any]]:
        """Those of a statement."""
        return self._connection.execute(marked(statement), values).fetchall()

    def jobs(self, ids: Sequence[str]) -> Sequence[Job]:
        """Those that exist."""
        return [to_job(row) for row in by_ids(ids, self._connection)]

    def portion(self, ids: Sequence[str]) -> Sequence[str]:
        """The first of them."""
        sizes = dict(self._connection.execute(SIZES.encode(), (list(ids),)).fetchall())
        return portion((job_id, sizes[job_id]) for job_id in ids if job_id in sizes)


def _plain(wanted: JobFilter) -> Sequence[tuple[str, Any]]:
    return (
        ("type = ANY(?)", list(wanted.types)),
        ("queue = ANY(?)", list(wanted.queues)),
        ("id = ANY(?)", list(wanted.ids)),
        ("priority = ANY(?)", list(wanted.priorities)),
        ("worker_id = ?", wanted.worker_id),
        ("created_us >= ?", micros_or_none(wanted.created_after)),
        ("created_us < ?", micros_or_none(wanted.created_before)),
        ("finished_us >= ?", micros_or_none(wanted.finished_after)),
        ("finished_us < ?", micros_or_none(wanted.finished_before)),
        ("starts_with(error, ?)", sieve_of(wanted)),
    )


def _json(value: str) -> str:
    return msgspec.json.encode(value).decode()


def marked(statement: str) -> bytes:
    """A statement with its values marked as the driver wants it; there is no % in any."""
    return statement.replace("?", "%s").encode()


def fetch(connection: BoundedConnection, query: str, values: Sequence[Any] = ()) -> list[Row]:
    """The rows of a query for the columns of COLUMNS."""
    found = connection.execute(query.encode(), values).fetchall()
    return msgspec.convert(found, list[Row])


def by_ids(
    job_ids: Sequence[str], connection: BoundedConnection, *, brief: bool = False
) -> list[Row]:
    """The rows of those jobs that exist, in no particular order; `brief`: see `ports.JobReader`."""
    # What has a NUL in it is nowhere, and cannot be asked for.
    wanted = [job_id for job_id in set(job_ids) if "\0" not in job_id]
    return fetch(connection, BRIEF_BY_IDS if brief else BY_IDS, (wanted,))
