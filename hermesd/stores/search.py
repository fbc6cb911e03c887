"""How jobs are searched: slice by slice, so that no question reads a whole table.

Jobs that wait, run or have failed are looked at through the indexes of their states, whatever else
there is; all others by the primary key. A slice lies between two ids; to find its far end only the
index is read. What a filter asks for beside the state is tried on the rows of the slice.

A statement has `?` for each value; either dialect takes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from hermesd.core.errorgroups import HEAD_CHARS, Bunch, Kinship, beginning, kinship, merged
from hermesd.core.job import Job
from hermesd.core.records import JobFilter, JobPage
from hermesd.core.retention import first_id
from hermesd.core.searches import ErrorGroups, Found, Reach, Walked
from hermesd.core.states import State
from hermesd.stores.cursor import cursor_after, job_id_of
from hermesd.stores.micros import micros, seconds

# Rows of the slices that one page looks at: most are full at once, others are worth a longer look.
SLICES: Final = (1_000, 3_000, 6_000)
MAX_SECONDS: Final = 1.0  # after which no further slice is begun
# By how much the clocks of the apis that made the ids may differ from the one that was asked by.
SLACK_SECONDS: Final = 3600.0
_SUMS: Final = (
    "count(*) AS number, max(finished_us) AS newest, min(finished_us) AS oldest, max(id) AS last"
)
INDEXED: Final = (State.SCHEDULED, State.QUEUED, State.RUNNING, State.FAILED)
_MEMBERS: Final = ("kind", "message", "traceback")

Terms = list[tuple[str, list[Any]]]


class Words(Protocol):
    """A dialect's own way of saying it, over one connection."""

    @property
    def payload_bytes(self) -> str:
        """How long a payload is."""

    def source(self, state: State | None, span: str, *, whole: bool) -> str:
        """FROM and the beginning of WHERE: the jobs of a span, and of a state by its index.

        Without a state (None) it is by the primary key. `whole`: more is asked than their ids.
        """

    def terms(self, wanted: JobFilter) -> Terms:
        """The conditions of a filter, but for its states, and their values."""

    def rows(
        self, columns: Sequence[str], statement: str, values: Sequence[Any]
    ) -> Sequence[Sequence[Any]]:
        """Those of a statement that answers such columns."""

    def jobs(self, ids: Sequence[str]) -> Sequence[Job]:
        """Those that exist, in no particular order."""

    def portion(self, ids: Sequence[str]) -> Sequence[str]:
        """The first of them that exist, no more than a portion: see `stores.portion`."""


class Span(NamedTuple):
    """Jobs from one id up to another; None: without end."""

    at_least: str | None = None
    below: str | None = None
    up_to: str | None = None

    def terms(self) -> Terms:
        """As conditions."""
        ends = (("id >= ?", self.at_least), ("id < ?", self.below), ("id <= ?", self.up_to))
        return [(condition, [end]) for condition, end in ends if end is not None]


class Slices:
    """The slices of one search, newest first; when they are over, `complete` or not at `edge`."""

    def __init__(self, words: Words, wanted: JobFilter, below: str | None) -> None:
        self.complete = bool(wanted.ids)  # which are few: all of them are looked at together
        self.edge: tuple[str, int] | None = None  # id, created_us
        self._words = words
        self._wanted = wanted
        self._below = below

    def __iter__(self) -> Iterator[Span]:
        """Until all have been seen, or it has been enough."""
        if self.complete:
            yield Span(below=self._below)
            return
        begun = time.monotonic()
        for rows in SLICES:
            below = self._below
            self.edge = edge(self._words, self._wanted, Span(below=below), rows - 1, "DESC")
            yield Span(at_least=self.edge[0] if self.edge else None, below=below)
            if self.edge is None or self._too_old(self.edge[1]):
                self.complete = True
                return
            self._below = self.edge[0]
            if time.monotonic() - begun >= MAX_SECONDS:
                return

    def _too_old(self, created_us: int) -> bool:
        after = self._wanted.created_after
        return after is not None and created_us < micros(after - SLACK_SECONDS)


def page(words: Words, wanted: JobFilter, cursor: str | None, limit: int) -> JobPage:
    """Newest first, by id, which rises with the time of creation."""
    slices = Slices(words, wanted, _newest(wanted, cursor))
    ids: list[str] = []
    for span in slices:
        ids += _ids(words, wanted, span, limit + 1 - len(ids))
        if len(ids) > limit:
            break
    few = words.portion(ids[:limit]) if ids else ()
    jobs = tuple(sorted(words.jobs(few), key=lambda job: job.id, reverse=True))
    if few and few[-1] != ids[:limit][-1]:
        return JobPage(jobs=jobs, next_cursor=cursor_after(few[-1]))
    if len(ids) > limit or (len(ids) == limit and not slices.complete):
        return JobPage(jobs=jobs, next_cursor=cursor_after(ids[limit - 1]))
    if slices.complete or slices.edge is None:
        return JobPage(jobs=jobs)
    last_id, created_us = slices.edge
    return JobPage(jobs=jobs, next_cursor=cursor_after(last_id), searched_to=seconds(created_us))


def walk(words: Words, wanted: JobFilter, reach: Reach) -> Walked:
    """One slice, the oldest first."""
    span = Span(at_least=reach.start, up_to=reach.until)
    beyond = None if wanted.ids else edge(words, wanted, span, reach.rows, "ASC")
    if beyond is not None:
        span = Span(at_least=reach.start, below=beyond[0])
    columns = f"id, state, {words.payload_bytes} AS size, {_head(wanted)}"
    statement, values = union(words, wanted, span, columns)
    rows = words.rows(("id", "state", "size", "head"), statement, values)
    related = _related(wanted)
    jobs = tuple(
        Found(id=job_id, state=State(state), size_bytes=size)
        for job_id, state, size, head in sorted(rows, key=lambda row: str(row[0]))
        if related(head)
    )
    return Walked(jobs=jobs, next_start=beyond[0] if beyond else None)


def error_groups(words: Words, wanted: JobFilter) -> ErrorGroups:
    """Of the newest failed jobs that fit."""
    slices = Slices(words, wanted, _newest(wanted, None))
    related = _related(wanted)
    bunches: list[Bunch] = []
    for span in slices:
        columns = f"id, type, finished_us, substr(error, 1, {HEAD_CHARS}) AS head"
        statement, values = union(words, wanted, span, columns)
        counted = f"SELECT type, head, {_SUMS} FROM ({statement}) AS dead GROUP BY type, head"
        rows = words.rows(("type", "head", "number", "newest", "oldest", "last"), counted, values)
        bunches += [
            Bunch(job_type, head or "", number, seconds(newest), seconds(oldest), newest_id)
            for job_type, head, number, newest, oldest, newest_id in rows
            if related(head)
        ]
    return ErrorGroups(groups=tuple(merged(bunches)), complete=slices.complete)


def edge(
    words: Words, wanted: JobFilter, span: Span, passed: int, direction: str
) -> tuple[str, int] | None:
    """Id and time of creation of the job that comes after so many `passed` ones; None: no such."""
    # The states that have no index are tried in the slice: here they would be looked for far away.
    sieve = JobFilter(states=wanted.states if indexed(wanted) else ())
    statement, values = union(words, sieve, span, "id", whole=False)
    place = f"{statement} ORDER BY id {direction} LIMIT 1 OFFSET {passed}"
    found = f"SELECT id, created_us FROM jobs WHERE id = ({place})"
    rows = words.rows(("id", "created_us"), found, values)
    return (rows[0][0], rows[0][1]) if rows else None


def union(
    words: Words, wanted: JobFilter, span: Span, columns: str, *, whole: bool = True
) -> tuple[str, list[Any]]:
    """The jobs of a span that fit, state by state where their indexes can serve."""
    ends, terms = span.terms(), words.terms(wanted)
    within = " AND ".join(condition for condition, _ in ends) or "true"
    states = indexed(wanted)
    conditions = [] if states or not wanted.states else [in_states(wanted.states)]
    also = "".join(f" AND {each}" for each in (*conditions, *(condition for condition, _ in terms)))
    sources = [words.source(state, within, whole=whole) for state in states or (None,)]
    parts = [f"SELECT {columns} {source}{also}" for source in sources]
    values = [value for _, given in (*ends, *terms) for value in given]
    return " UNION ALL ".join(parts), values * len(parts)


def in_states(states: Sequence[State]) -> str:
    """Written out, not passed in, so that a partial index can serve."""
    named = " OR ".join(f"state = '{State(state)}'" for state in states)
    return f"({named})"


def indexed(wanted: JobFilter) -> tuple[State, ...]:
    """The states that are wanted, where there is an index of each, in a fixed order."""
    if not wanted.states or wanted.ids or not set(wanted.states) <= set(INDEXED):
        return ()
    return tuple(state for state in INDEXED if state in wanted.states)


def _ids(words: Words, wanted: JobFilter, span: Span, limit: int) -> list[str]:
    """The newest of them, the newest first."""
    if wanted.error is None:
        statement, values = union(words, wanted, span, "id")
        query = f"{statement} ORDER BY id DESC LIMIT {limit}"
        rows = words.rows(("id",), query, values)
        return sorted((job_id for (job_id,) in rows), reverse=True)
    # Which group an error belongs to no database can tell: all heads of the slice are looked at.
    related = _related(wanted)
    statement, values = union(words, wanted, span, f"id, {_head(wanted)}")
    rows = words.rows(("id", "head"), statement, values)
    found = (job_id for job_id, head in rows if related(head))
    return sorted(found, reverse=True)[:limit]


def _head(wanted: JobFilter) -> str:
    """The beginning of the error, where it is of use."""
    return "NULL AS head" if wanted.error is None else f"substr(error, 1, {HEAD_CHARS}) AS head"


def _related(wanted: JobFilter) -> Callable[[str | None], bool]:
    """Whether an error that begins with a text is of the wanted group."""
    if wanted.error is None:
        return lambda head: True
    known: dict[str, Kinship] = {}

    def related(head: str | None) -> bool:
        if head is None:
            return False
        kin = known.get(head)
        if kin is None:
            kin = known[head] = kinship(head)
        return kin.error == wanted.error

    return related


def sieve_of(wanted: JobFilter) -> str | None:
    """How the errors begin that a filter asks for, as they are kept; None: in any way."""
    if wanted.error_kind is None:
        return None
    return beginning(wanted.error_kind, wanted.error or "")


def needle_of(text: str) -> str:
    """A text as it stands within a JSON text, ASCII letters small."""
    return ascii_lower(msgspec.json.encode(text).decode()[1:-1])


def haystack(needle: str) -> str:
    """SQL for an error's JSON text, ASCII letters small, in which a needle is looked for.

    The names of its members are left out where it could be found in them. They stand between
    quotes, which within a text are escaped: nothing else is taken away.
    """
    column = "error"
    if any(needle in name for name in _MEMBERS):
        for name in _MEMBERS:
            column = f"replace({column}, '\"{name}\":', '')"
    return f"lower({column})"


def ascii_lower(text: str) -> str:
    """As the databases' `lower` makes it."""
    return text.translate(_SMALL)


_SMALL: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _newest(wanted: JobFilter, cursor: str | None) -> str | None:
    """Below what id the search begins."""
    ends = [] if cursor is None else [job_id_of(cursor)]
    if wanted.created_before is not None:
        ends.append(first_id(wanted.created_before + SLACK_SECONDS))
    return min(ends, default=None)
