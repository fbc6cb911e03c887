"""What jobs tell of themselves, as rows: plain SQL that SQLite and PostgreSQL both take.

The caller hands in how a statement is executed (`?` stands for a value). The column
`jobs.progress_note` holds a JSON text [lease, time in microseconds, note]: a progress counts only
for the lease that told it, so that no other statement has to clear it when a new attempt begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from hermesd.core.notes import MAX_LINES, JobNotes, KeptLine, NoteKept, Progress, Told
from hermesd.stores.backend import ItemFault
from hermesd.stores.micros import micros, seconds

Values = tuple[Any, ...]
# Runs a statement with its values, `?` each, and answers its rows.
Execute = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]

ROWS_A_STATEMENT: Final = 500
MOST_DROPPED: Final = 1_000_000_000  # at a time, and about so many in all: the column has 32 bits

RUNNING: Final = (
    "SELECT id, lease, type, run, attempts FROM jobs WHERE state = 'running' AND id IN ({})"
)
COUNT_ALL: Final = "SELECT job_id, count(*) FROM job_logs WHERE job_id IN ({}) GROUP BY job_id"
COUNT_BY_RUN: Final = (
    "SELECT job_id, run, count(*) FROM job_logs WHERE job_id IN ({}) GROUP BY job_id, run"
)
TIMES: Final = "SELECT job_id, run, attempt, time_us FROM job_logs WHERE job_id IN ({})"
# Both dialects call the columns of VALUES column1 and so on.
UPDATE: Final = (
    "UPDATE jobs SET progress = CASE WHEN given.column4 IS NULL THEN jobs.progress "
    "ELSE CAST(given.column3 AS double precision) END, "
    "progress_note = coalesce(given.column4, jobs.progress_note), "
    f"logs_dropped = CASE WHEN jobs.logs_dropped > {MOST_DROPPED} THEN jobs.logs_dropped "
    "ELSE jobs.logs_dropped + given.column5 END "
    "FROM (VALUES {}) AS given WHERE jobs.id = given.column1 "
    "AND jobs.lease = given.column2 AND jobs.state = 'running'"
)
INSERT: Final = "INSERT INTO job_logs (job_id, run, attempt, time_us, level, line) VALUES {}"
TOLD: Final = (
    "SELECT id, lease, progress, progress_note, logs_dropped FROM jobs WHERE id IN ({}) "
    "AND (progress_note IS NOT NULL OR logs_dropped > 0)"
)
LINES: Final = (
    "SELECT id, time_us, run, attempt, level, line FROM job_logs "
    "WHERE job_id = ? AND id > ? ORDER BY id LIMIT ?"
)
PURGE: Final = (
    "DELETE FROM job_logs WHERE job_id IN ({}) "
    "AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job_logs.job_id)"
)


class Running(NamedTuple):
    """What is asked of a running job."""

    lease: int
    job_type: str
    run: int
    attempt: int


class _Mark(NamedTuple):
    """What stands in `jobs.progress_note`."""

    lease: int
    at_us: int
    note: str


class Plan:
    """What becomes of notes, given what is there: pure, and the same for every store.

    `running` are the running jobs by id, `kept` counts the lines of each (job, run), and `known`
    are (job, run, attempt, time) of lines that may be repeated.
    """

    def __init__(
        self,
        running: Mapping[str, Running],
        kept: dict[tuple[str, int], int],
        known: frozenset[Values],
    ) -> None:
        self.lines: list[Values] = []  # (job, run, attempt, time, level, line)
        self.updates: dict[str, Values] = {}  # (job, lease, progress, mark, lines dropped)
        self._running = running
        self._kept = kept
        self._known = known

    def add(self, note: JobNotes) -> NoteKept | None:
        """Plan for the news of one lease; None where it is not valid."""
        job_id, lease = note.token.job_id, note.token.lease
        job = self._running.get(job_id)
        if job is None or job.lease != lease:
            return None
        fresh = [row for row in self._rows(note, job) if row[:4] not in self._known]
        before = self._kept.get((job_id, job.run), 0)
        taken = fresh[: max(MAX_LINES - before, 0)]
        self._kept[job_id, job.run] = before + len(taken)
        self.lines += taken
        self._update(note, note.dropped + len(fresh) - len(taken))
        return NoteKept(job_type=job.job_type, run=job.run, attempt=job.attempt, lines=len(taken))

    def _rows(self, note: JobNotes, job: Running) -> Iterator[Values]:
        for line in note.lines:
            if "\0" in line.line:  # PostgreSQL has none: refused by both
                raise ItemFault("a log line holds a NUL character")
            job_id = note.token.job_id
            yield job_id, job.run, job.attempt, micros(line.at), line.level, line.line

    def _update(self, note: JobNotes, dropped: int) -> None:
        (job_id, lease), told = (note.token.job_id, note.token.lease), note.progress
        _, _, fraction, mark, more = self.updates.get(job_id, (job_id, lease, None, None, 0))
        if told is not None:
            if "\0" in told.note:
                raise ItemFault("a progress note holds a NUL character")
            fraction = told.fraction
            mark = msgspec.json.encode((lease, micros(told.at), told.note)).decode()
        dropped = min(dropped + more, MOST_DROPPED)
        if mark is not None or dropped:
            self.updates[job_id] = (job_id, lease, fraction, mark, dropped)


def write(execute: Execute, notes: Sequence[JobNotes]) -> list[NoteKept | None]:
    """Keep what is of valid leases, within a transaction; None where a lease is not valid."""
    running = {
        job_id: Running(*rest)
        for job_id, *rest in _of_ids(execute, RUNNING, {note.token.job_id for note in notes})
    }
    valid = [note for note in notes if note.token.job_id in running]
    known = {note.token.job_id for note in valid if note.repeated}
    plan = Plan(
        running,
        _kept(execute, running, valid),
        frozenset(map(tuple, _of_ids(execute, TIMES, known))),
    )
    answers = [plan.add(note) for note in notes]
    _in_values(execute, UPDATE, list(plan.updates.values()))
    _in_values(execute, INSERT, plan.lines)
    return answers


def told(execute: Execute, job_ids: Iterable[str]) -> dict[str, Told]:
    """Of those jobs that have told anything: their progress, if it is of their last lease."""
    found = {}
    for job_id, lease, fraction, text, dropped in _of_ids(execute, TOLD, set(job_ids)):
        mark = None if text is None else msgspec.json.decode(text, type=_Mark)
        progress = None
        if mark is not None and mark.lease == lease:
            progress = Progress(fraction=fraction, note=mark.note, at=seconds(mark.at_us))
        found[job_id] = Told(progress=progress, logs_dropped=dropped)
    return found


def lines(execute: Execute, job_id: str, after: int, limit: int) -> list[KeptLine]:
    """Lines of a job numbered above `after`, oldest first."""
    return [
        KeptLine(number=number, at=seconds(at), run=run, attempt=attempt, level=level, line=line)
        for number, at, run, attempt, level, line in execute(LINES, (job_id, after, limit))
    ]


def purge(execute: Execute, job_ids: Iterable[str]) -> None:
    """Delete the lines of those of the jobs that are gone."""
    _of_ids(execute, PURGE, set(job_ids))


def _kept(
    execute: Execute, running: Mapping[str, Running], notes: Sequence[JobNotes]
) -> dict[tuple[str, int], int]:
    """How many lines there are of the present run of each job that has more to add.

    Told apart by run only where all runs together are too many: an index alone tells the sum.
    """
    ids = {note.token.job_id for note in notes if note.lines}
    sums: dict[str, int] = dict(map(tuple, _of_ids(execute, COUNT_ALL, ids)))
    more = sum(len(note.lines) for note in notes)
    kept = {(job_id, running[job_id].run): number for job_id, number in sums.items()}
    crowded = {job_id for job_id, number in sums.items() if number + more > MAX_LINES}
    for job_id in crowded:
        kept[job_id, running[job_id].run] = 0
    for job_id, run, number in _of_ids(execute, COUNT_BY_RUN, crowded):
        kept[job_id, run] = number
    return kept


def _of_ids(execute: Execute, statement: str, ids: Iterable[str]) -> list[Sequence[Any]]:
    """The rows of a statement over ids, some of them at a time."""
    ordered = sorted(ids)
    found: list[Sequence[Any]] = []
    for start in range(0, len(ordered), ROWS_A_STATEMENT):
        some = ordered[start : start + ROWS_A_STATEMENT]
        found += execute(statement.format(", ".join("?" * len(some))), some)
    return found


def _in_values(execute: Execute, statement: str, rows: Sequence[Values]) -> None:
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        some = rows[start : start + ROWS_A_STATEMENT]
        row = f"({', '.join('?' * len(some[0]))})"
        execute(statement.format(", ".join([row] * len(some))), [v for one in some for v in one])
