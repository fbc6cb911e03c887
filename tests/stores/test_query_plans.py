"""No statement of the hot path reads the whole table of jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hermesd.core.records import JobFilter
from hermesd.core.searches import Reach
from hermesd.core.states import State
from hermesd.stores import note_rows, point_rows, queue_rows, search
from hermesd.stores.sqlite import statements
from hermesd.stores.sqlite.connection import Connection, open_writer
from hermesd.stores.sqlite.words import SqliteWords


@pytest.fixture
def connection(database: Path) -> Iterator[Connection]:
    """On an empty database of the present schema."""
    with closing(open_writer(database, 1.0)) as opened:
        yield opened


def plan(connection: Connection, statement: str) -> list[str]:
    """SQLite's plan, one line a step."""
    statement = re.sub(r"\bNEW\.\w+", "?", statement)
    values = ("[]",) * statement.count("?")
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return [row[3] for row in rows]


@pytest.mark.parametrize(
    "name",
    [
        "INSERT_ALL",
        "SUCCEED_ALL",
        "ASSIGN_ALL",
        "SUCCEED_ALIKE",
        "ASSIGN_ALIKE",
        "STILL_OWN",
        "HAND_OVER",
        "AT_BROKER",
        "CHANGE_JOBS",
        "JOBS_BY_ID",
        "INSERT_EVENTS",
        "DUE_IDS",
        "NEXT_DUE",
        "WAITING_IN_PAIR",
        "WALK_ENDED",
        "FIND_KEYS",
        "PUT_KEYS",
        "KEEP_FINAL_STATES",
        "PURGE_JOBS",
        "PURGE_EVENTS",
        "PURGE_KEYS",
    ],
)
def test_a_statement_searches_an_index(connection: Connection, name: str) -> None:
    """No SCAN of a table that grows."""
    steps = plan(connection, getattr(statements, name))
    grown = ("SCAN jobs", "SCAN idempotency", "SCAN events", "SCAN keys", "SCAN old")
    assert not [step for step in steps if step.startswith(grown)], steps


@pytest.mark.parametrize(
    "name", ["RUNNING", "COUNT_ALL", "COUNT_BY_RUN", "TIMES", "UPDATE", "TOLD", "LINES", "PURGE"]
)
def test_what_jobs_tell_is_found_by_their_ids(connection: Connection, name: str) -> None:
    """No SCAN of a table that grows; all lines of a job are counted in the index alone."""
    places = "(?, ?, ?, ?, ?)" if name == "UPDATE" else "?, ?"
    steps = plan(connection, getattr(note_rows, name).format(places))
    assert not [step for step in steps if step.startswith(("SCAN jobs", "SCAN job_logs"))], steps
    if name == "COUNT_ALL":
        assert [step for step in steps if "COVERING INDEX job_logs_job" in step], steps
    assert not [step for step in steps if name == "LINES" and "TEMP B-TREE" in step], steps


def test_the_first_of_a_place_is_found_by_its_index(connection: Connection) -> None:
    """However many wait there, without a sort."""
    steps = plan(connection, queue_rows.FIRST)
    index = "INDEX jobs_queued (queue=? AND type=? AND owner=? AND priority=?)"
    assert [step for step in steps if index in step], steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_running_jobs_are_counted_by_their_index(connection: Connection) -> None:
    """However many have ended."""
    scans = [step for step in plan(connection, queue_rows.RUNNING) if "jobs" in step]
    assert [step.rpartition(" ")[2] for step in scans] == ["jobs_running"]


@pytest.mark.parametrize("name", ["FORGET", "BETWEEN"])
def test_the_history_is_found_by_its_time(connection: Connection, name: str) -> None:
    """In its order."""
    (step,) = plan(connection, getattr(point_rows, name))
    assert step.startswith("SEARCH points USING PRIMARY KEY (at_us"), step


def test_live_jobs_are_counted_in_the_indexes_of_their_states(
    connection: Connection,
) -> None:
    """However many have ended."""
    scans = [step for step in plan(connection, statements.COUNT_LIVE) if "jobs" in step]
    indexes = ["jobs_scheduled", "jobs_queued", "jobs_running"]
    assert [step.rpartition(" ")[2] for step in scans] == indexes


def test_waiting_jobs_need_no_sort(connection: Connection) -> None:
    """The index gives them best first, and passes by those at the broker."""
    steps = plan(connection, statements.WAITING_IN_PAIR)
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
    assert [step for step in steps if "INDEX jobs_queued (queue=? AND type=? AND owner=?)" in step]


def test_what_waits_is_counted_in_the_order_of_its_index(connection: Connection) -> None:
    """Without a sort, and without the rows themselves."""
    assert plan(connection, statements.COUNT_WAITING) == [
        "SCAN jobs USING COVERING INDEX jobs_queued"
    ]


def test_jobs_at_the_broker_have_an_index_of_their_own(connection: Connection) -> None:
    """By band and time of publishing: finding and counting them costs nothing for all others."""
    steps = plan(connection, statements.AT_BROKER)
    index = "INDEX jobs_with_broker (queue=? AND priority=? AND published_us<?)"
    assert [step for step in steps if index in step], steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
    assert plan(connection, statements.COUNT_AT_BROKER) == [
        "SCAN jobs USING COVERING INDEX jobs_with_broker"
    ]


def test_the_walk_over_ended_jobs_needs_no_sort(connection: Connection) -> None:
    """It follows the primary key from its place on, and ends at its limit."""
    steps = plan(connection, statements.WALK_ENDED)
    assert "SEARCH jobs USING PRIMARY KEY (id>? AND id<?)" in steps, steps


@pytest.mark.parametrize("name", ["ORPHAN_IDS", "LAST_ORDER_KEY"])
def test_a_sweep_reads_live_jobs_only(connection: Connection, name: str) -> None:
    """Whatever it scans is a partial index."""
    steps = plan(connection, getattr(statements, name))
    scans = [step for step in steps if step.startswith("SCAN jobs")]
    assert all("USING" in step and "jobs_" in step for step in scans), steps


ENDED_JOBS = 60_000
# A row of the simplest kind for each number, some of each state at the beginning.
FILL = f"""
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ENDED_JOBS})
INSERT INTO jobs (id, type, queue, priority, state, payload, attempts, max_attempts, timeout_us,
  backoff, labels, run, lease, owner, crash_count, crash_limit, cancel_requested, order_key,
  created_us, updated_us, finished_us, error)
SELECT printf('019a0000-0000-7000-8000-%012d', n), 'noop', 'default', 3,
  CASE WHEN n > 400 THEN 'succeeded' WHEN n % 4 = 0 THEN 'queued' WHEN n % 4 = 1 THEN 'running'
    WHEN n % 4 = 2 THEN 'scheduled' ELSE 'failed' END,
  '{{}}', 1, 3, 1000000, '{{}}', '{{}}', 1, 1, 'none', 0, 3, 0, n, n, n, n,
  '{{"kind":"error","message":"no room"}}'
FROM n
"""
STEPS_PER_ROW = 60  # of SQLite's machine, at most
LIVE = (State.QUEUED, State.RUNNING, State.SCHEDULED)


class CountedWords(SqliteWords):
    """Counts the rows that SQLite may have looked at, by the steps of its machine."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.steps = 0
        connection.set_progress_handler(self._step, 100)

    def _step(self) -> int:
        self.steps += 100
        return 0


@pytest.fixture
def words(connection: Connection) -> CountedWords:
    """Over many ended jobs, and a few old ones in each other state."""
    connection.execute(FILL)
    return CountedWords(connection)


@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(types=("none",)),
        JobFilter(states=(State.CANCELLED,)),
        JobFilter(states=(State.SUCCEEDED, State.FAILED), worker_id="w"),
        JobFilter(labels=(("a", "b"),)),
        JobFilter(text="nothing"),
        JobFilter(error_kind="crashed"),
        JobFilter(error_kind="error", error="nothing"),
        JobFilter(finished_after=1e9),
    ],
)
def test_a_page_looks_at_a_bounded_number_of_jobs(words: CountedWords, wanted: JobFilter) -> None:
    """Where nothing fits, it says how far it has come, and the next one goes on from there."""
    steps, cursor, pages = 0, None, 0
    while True:
        page = search.page(words, wanted, cursor, 50)
        pages += 1
        assert page.jobs == ()
        assert words.steps - steps < STEPS_PER_ROW * sum(search.SLICES)
        steps, cursor = words.steps, page.next_cursor
        assert (page.searched_to is None) == (cursor is None)
        if cursor is None:
            break
    assert pages == ENDED_JOBS // sum(search.SLICES) + 1


def test_a_page_of_what_lies_before_a_time_begins_there(words: CountedWords) -> None:
    """By the ids, which begin with a time; and what lies after one ends there."""
    page = search.page(words, JobFilter(created_before=1e9), None, 5)
    assert (page.jobs, page.next_cursor) == ((), None)
    page = search.page(words, JobFilter(created_after=1e9, types=("none",)), None, 5)
    assert (page.jobs, page.next_cursor) == ((), None)
    assert words.steps < STEPS_PER_ROW * search.SLICES[0] * 2


@pytest.mark.parametrize("states", [*((state,) for state in (*LIVE, State.FAILED)), LIVE])
def test_live_jobs_and_the_dead_letters_are_found_by_their_indexes(
    words: CountedWords, states: tuple[State, ...]
) -> None:
    """However many have ended since: by pages, by a walk, and grouped."""
    wanted = JobFilter(states=states)
    page = search.page(words, wanted, None, 500)
    assert len(page.jobs) == 100 * len(states)
    assert page.next_cursor is None
    walked = search.walk(words, wanted, Reach(until="~", rows=1000))
    assert [job.id for job in walked.jobs] == [job.id for job in reversed(page.jobs)]
    rest = search.walk(words, wanted, Reach(start=page.jobs[-3].id, until="~", rows=1000))
    assert len(rest.jobs) == len(page.jobs) - 2
    narrow = search.page(words, JobFilter(states=states, types=("none",)), None, 5)
    assert narrow.next_cursor is None
    if states == (State.FAILED,):
        assert [group.count for group in search.error_groups(words, wanted).groups] == [100]
    assert words.steps < STEPS_PER_ROW * 100 * len(states) * 10


def test_a_full_page_ends_early(words: CountedWords) -> None:
    """It looks no further than it must."""
    page = search.page(words, JobFilter(), None, 50)
    assert (len(page.jobs), page.searched_to) == (50, None)
    assert words.steps < STEPS_PER_ROW * search.SLICES[0]
