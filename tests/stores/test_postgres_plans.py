"""No statement of the hot path reads what has ended, and what has ended does not pile up dead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg
import pytest
import trio
from databases.postgresql import PostgresServer
from databases.stores import opened

from hermesd.clock import SystemClock
from hermesd.core.outcome import Settlement
from hermesd.core.records import JobFilter
from hermesd.core.searches import Reach
from hermesd.core.states import Move, State
from hermesd.stores import queue_rows, search
from hermesd.stores.postgres import listing, queue_questions, statements
from hermesd.stores.postgres.connection import READER_SETTINGS, WRITER_SETTINGS
from hermesd.stores.postgres.words import BY_IDS, PostgresWords, marked
from hermesd.testing.conformance import Scene

pytestmark = pytest.mark.faults  # slow: a million rows, and a wait for the server's own cleaning

ENDED_JOBS = 1_000_000
GROWN = ("jobs", "events", "idempotency", "job_logs")
ALL_OF_IT = ("Seq Scan", "Parallel Seq Scan")
BY_INDEX = ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
FILL = f"""
INSERT INTO jobs (id, type, queue, priority, state, payload, attempts, max_attempts, timeout_us,
  backoff, labels, run, lease, owner, crash_count, crash_limit, cancel_requested, order_key,
  created_us, updated_us, enqueued_us, started_us, finished_us, incarnation, run_us)
SELECT '019a0000-0000-7000-8000-' || lpad(n::text, 12, '0'), 'noop', 'default', 3,
  CASE WHEN n <= {ENDED_JOBS} THEN 'succeeded'
    ELSE (ARRAY['queued', 'running', 'scheduled', 'failed'])[n % 4 + 1] END,
  '{{}}', 1, 3, 1000000, '{{}}', '{{}}', 1, 1,
  CASE WHEN n <= {ENDED_JOBS} THEN 'none' ELSE (ARRAY['store', 'incarnation', 'timer', 'none'])
    [n % 4 + 1] END,
  0, 3, 0, n, n, n, n, n, n, 'inc-1', n
FROM generate_series(1, {ENDED_JOBS} + 400) AS n
"""


@pytest.fixture(scope="module")
def grown(postgresql: PostgresServer, postgresql_template: str) -> Iterator[str]:
    """The url of a database with a million ended jobs and a few that live."""
    name = postgresql.fresh(postgresql_template)
    with closing(psycopg.connect(postgresql.url(name), autocommit=True)) as connection:
        connection.execute("ALTER TABLE jobs SET UNLOGGED")  # as quick as may be; plans are alike
        connection.execute(FILL)
        connection.execute("INSERT INTO incarnations VALUES ('inc-1', 'w', 'a', 'm', 1, 0)")
        connection.execute(
            "INSERT INTO idempotency SELECT 'p', n::text, 'b', "
            "'019a0000-0000-7000-8000-' || lpad(n::text, 12, '0'), n "
            "FROM generate_series(1, 100000) AS n"
        )
        connection.execute(
            "INSERT INTO events (job_id, time_us, job_type, kind, message, run, attempt) SELECT "
            "'019a0000-0000-7000-8000-' || lpad(n::text, 12, '0'), n, 'noop', 'retry', '', 1, 1 "
            "FROM generate_series(1, 100000) AS n"
        )
        connection.execute(
            "INSERT INTO job_logs (job_id, run, attempt, time_us, level, line) SELECT "
            "'019a0000-0000-7000-8000-' || lpad(n::text, 12, '0'), 1, 1, n, 'info', 'line' "
            "FROM generate_series(1, 100000) AS n"
        )
        connection.execute("VACUUM ANALYZE")
    yield postgresql.url(name)
    postgresql.drop(name)


@pytest.fixture(scope="module")
def writer(grown: str) -> Iterator[psycopg.Connection[Any]]:
    """With the settings of the writing connection."""
    options = " ".join(f"-c {one}" for one in WRITER_SETTINGS)
    with closing(psycopg.connect(grown, autocommit=True, options=options)) as connection:
        yield connection


@pytest.fixture(scope="module", params=["force_generic_plan", "force_custom_plan"])
def reader(grown: str, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """With the settings of a reading connection, and both kinds of plans."""
    options = " ".join(f"-c {one}" for one in READER_SETTINGS)
    with closing(psycopg.connect(grown, autocommit=True, options=options)) as connection:
        connection.execute(f"SET plan_cache_mode = {request.param}")
        yield connection


def plan(connection: psycopg.Connection[Any], statement: str) -> dict[str, Any]:
    """The plan of a prepared statement."""
    connection.execute("DEALLOCATE ALL", prepare=False)
    connection.execute(f"PREPARE wanted AS {statement}", prepare=False)
    values = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", statement))))
    call = f"wanted({values})" if values else "wanted"
    query = f"EXPLAIN (FORMAT JSON) EXECUTE {call}"
    ((found,),) = connection.execute(query, prepare=False).fetchall()
    made: dict[str, Any] = found[0]["Plan"]
    return made


def nodes(of: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The node and all below it."""
    yield of
    for below in of.get("Plans", ()):
        yield from nodes(below)


def reads_too_much(node: dict[str, Any]) -> bool:
    """Whether it goes over the whole of a table that grows, or over an index of all its rows."""
    kind, index = node["Node Type"], node.get("Index Name", "")
    if kind in ALL_OF_IT:
        return node["Relation Name"] in GROWN
    partial = index.startswith("jobs_") and index != "jobs_pkey"
    return kind in BY_INDEX and index.startswith(GROWN) and not (partial or "Index Cond" in node)


def check(connection: psycopg.Connection[Any], statement: str) -> None:
    """Fail where the plan reads what it need not."""
    found = [node for node in nodes(plan(connection, statement)) if reads_too_much(node)]
    assert not found, [
        (node["Node Type"], node.get("Relation Name"), node.get("Index Name")) for node in found
    ]


def numbered(query: str) -> str:
    """A reading query as PREPARE wants it."""
    parts = query.split("%s")
    return parts[0] + "".join(f"${place}{part}" for place, part in enumerate(parts[1:], 1))


WRITES = sorted(
    name
    for name, value in vars(statements).items()
    if isinstance(value, str) and name.isupper() and value.startswith(VERBS)
)
READS = {
    "by id": BY_IDS,
    "live counts": listing.COUNT_LIVE,
    "waiting counts": listing.COUNT_WAITING,
    "ended": listing.WALK_ENDED,
    "events": listing.EVENTS,
    "assigned": listing.ASSIGNED,
    "waiting": queue_questions.WAITING,
    "next due": queue_questions.NEXT_DUE,
    "orphans": queue_questions.HAS_ORPHANS,
    "at the broker": queue_questions.AT_BROKER,
    "broker counts": queue_questions.COUNT_AT_BROKER,
    "first of a place": marked(queue_rows.FIRST).decode(),
    "running by queue": queue_rows.RUNNING,
}


def test_the_statements_are_found() -> None:
    """So that none is left out."""
    assert {"INSERT_ALL", "SUCCEED_ALL", "ASSIGN_ALL", "CHANGE_JOBS", "DUE_IDS"} <= set(WRITES)


@pytest.mark.parametrize("name", WRITES)
def test_a_writing_statement_searches_an_index(writer: psycopg.Connection[Any], name: str) -> None:
    """Among a million ended jobs."""
    check(writer, getattr(statements, name))


BY_TOKEN = ("SUCCEED_ALL", "SUCCEED_ONE", "ASSIGN_ALL", "HAND_OVER", "CHANGE_JOBS")


@pytest.mark.parametrize("name", BY_TOKEN)
def test_a_change_finds_its_job_by_its_id(writer: psycopg.Connection[Any], name: str) -> None:
    """And not by going through all that are in its state, for each job of the group."""
    assert lookups(plan(writer, getattr(statements, name))) == ["jobs_pkey"]


@pytest.mark.parametrize("name", BY_TOKEN)
def test_it_does_so_in_an_empty_table_too(postgresql_url: str, name: str) -> None:
    """That plan is kept while the table grows."""
    options = " ".join(f"-c {one}" for one in WRITER_SETTINGS)
    with closing(psycopg.connect(postgresql_url, autocommit=True, options=options)) as fresh:
        assert lookups(plan(fresh, getattr(statements, name))) == ["jobs_pkey"]


def lookups(of: dict[str, Any]) -> list[str]:
    """The indexes that a plan uses; each must be for the ids that are given."""
    used = [node for node in nodes(of) if "Index Name" in node]
    assert all(re.search(r"given\.id|id = \$1", node.get("Index Cond", "")) for node in used), used
    return [node["Index Name"] for node in used]


@pytest.mark.parametrize("name", list(READS))
def test_a_reading_statement_searches_an_index(reader: psycopg.Connection[Any], name: str) -> None:
    """Planned for any values, and for these."""
    check(reader, numbered(READS[name]))


class Recorded(PostgresWords):
    """Keeps the statements that are asked, with their values."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.asked: list[tuple[str, Sequence[Any]]] = []

    def rows(
        self, columns: Sequence[str], statement: str, values: Sequence[Any]
    ) -> Sequence[Sequence[Any]]:
        self.asked.append((statement, values))
        return super().rows(columns, statement, values)

    def check(self) -> None:
        """Fail where one of them goes through all jobs."""
        for statement, values in self.asked:
            explain = marked(f"EXPLAIN (FORMAT JSON) {statement}")
            ((found,),) = self._connection.execute(explain, values).fetchall()
            bad = [node for node in nodes(found[0]["Plan"]) if _is_whole(node, found[0]["Plan"])]
            assert not bad, (statement, bad)


def _is_whole(node: dict[str, Any], plan: dict[str, Any]) -> bool:
    """Whether it reads too much; an index is read from its end where a limit ends that."""
    limited = any(each["Node Type"] == "Limit" for each in nodes(plan))
    from_its_end = node.get("Index Name") == "jobs_pkey" and limited
    return reads_too_much(node) and not from_its_end


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (JobFilter(), 50),
        (JobFilter(types=("none",)), 0),
        (JobFilter(states=(State.CANCELLED,), text="nothing"), 0),
        (JobFilter(error_kind="error", error="nothing"), 0),
        (JobFilter(labels=(("a", "b"),), priorities=(3,)), 0),
        *((JobFilter(states=(state,)), 50) for state in search.INDEXED),
        (JobFilter(states=search.INDEXED[:3], types=("none",)), 0),
    ],
)
def test_a_page_looks_at_a_bounded_number_of_jobs(
    reader: psycopg.Connection[Any], wanted: JobFilter, found: int
) -> None:
    """Among a million; the second page too."""
    words = Recorded(reader)
    first = search.page(words, wanted, None, 50)
    assert len(first.jobs) == found
    if first.next_cursor is not None:
        search.page(words, wanted, first.next_cursor, 50)
    words.check()


@pytest.mark.parametrize("states", [(State.FAILED,), search.INDEXED[:3]])
def test_a_walk_and_the_groups_look_at_what_is_wanted_alone(
    reader: psycopg.Connection[Any], states: tuple[State, ...]
) -> None:
    """A few such jobs among a million that ended."""
    words = Recorded(reader)
    walked = search.walk(words, JobFilter(states=states), Reach(until="~", rows=30))
    assert len(walked.jobs) == 30
    assert walked.next_start is not None
    reach = Reach(start=walked.next_start, until="~", rows=1000)
    assert len(search.walk(words, JobFilter(states=states), reach).jobs) == len(states) * 100 - 30
    if State.FAILED in states:
        groups = search.error_groups(words, JobFilter(states=states))
        assert [group.count for group in groups.groups] == [100]
    words.check()


def test_waiting_jobs_need_no_sort(reader: psycopg.Connection[Any]) -> None:
    """Within a pair: the index gives them best first, and passes by those at the broker."""
    (limit,) = [
        node
        for node in nodes(plan(reader, numbered(queue_questions.WAITING)))
        if node.get("Index Name") == "jobs_queued"
    ]
    assert "owner" in limit["Index Cond"]
    kinds = [node["Node Type"] for node in nodes(plan(reader, numbered(queue_questions.WAITING)))]
    assert kinds.count("Sort") == 1  # of the best of all pairs


JOBS_A_ROUND = 3000
ROUNDS = 5
# Two rows of a job, with their entries in the indexes. A cleaning may come amid a round or after
# it, and give space back or not: two rounds can lie there, but not all of them.
BYTES_A_JOB = 1000


async def test_dead_rows_do_not_pile_up(postgresql: PostgresServer, postgresql_url: str) -> None:
    """Over a soak of jobs that end and are purged, the server's own cleaning keeps up."""
    clock = SystemClock()
    database = postgresql_url.rpartition("/")[2].partition("?")[0]
    sizes = []
    async with opened(postgresql_url, clock=clock) as store:
        scene = Scene(store, clock)  # type: ignore[arg-type]
        await scene.living("inc-1")
        for _ in range(ROUNDS):
            before = cleanings(postgresql, database)
            await soak(scene)
            with trio.fail_after(120):
                while cleanings(postgresql, database) < before + 1:  # noqa: ASYNC110 - the server tells nobody
                    await trio.sleep(0.1)
            ((size,),) = postgresql.ask("SELECT pg_total_relation_size('jobs')", database=database)
            sizes.append(size)
    assert max(sizes) <= 2 * JOBS_A_ROUND * BYTES_A_JOB, sizes


def cleanings(server: PostgresServer, database: str) -> int:
    """How often the jobs' table was vacuumed."""
    query = "SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = 'jobs'"
    ((count,),) = server.ask(query, database=database)
    return int(count)


async def soak(scene: Scene) -> None:
    """Jobs that run, end and go."""
    fields = {"state": State.RUNNING, "lease": 1, "attempts": 1, "incarnation": "inc-1"}
    for _ in range(JOBS_A_ROUND // 500):
        answers = await scene.submit(*(scene.job(**fields) for _ in range(500)))
        jobs = [answer.job for answer in answers]
        outcomes: list[Settlement] = [scene.outcome(job, Move.SUCCEED, result=b"1") for job in jobs]
        await scene.store.jobs.settle(outcomes)
        assert await scene.store.jobs.purge([job.id for job in jobs]) == 500
