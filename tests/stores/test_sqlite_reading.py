"""Reading what waits: one statement with one row, however many jobs there are.

Each further row would give the interpreter's lock away, which takes milliseconds to get back beside
a busy event loop.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from hermesd.core.backoff import Backoff, BackoffKind
from hermesd.core.job import ErrorInfo, Job
from hermesd.core.records import Waiting
from hermesd.stores.insertion import admitted
from hermesd.stores.rows import as_json, changing, identity
from hermesd.stores.sqlite import fresh
from hermesd.stores.sqlite.connection import open_reader, open_writer
from hermesd.stores.sqlite.listing import get, get_many
from hermesd.stores.sqlite.queue_questions import PAIRS_PER_QUERY, waiting
from hermesd.stores.sqlite.statements import INSERT_ALL


@pytest.mark.parametrize(
    ("types", "statements"), [(1, 1), (PAIRS_PER_QUERY, 1), (PAIRS_PER_QUERY + 1, 2)]
)
def test_what_waits_is_read_in_one_step_and_in_order(
    tmp_path: Path, types: int, statements: int
) -> None:
    """The most urgent first, then the oldest, over all pairs and up to the limit."""
    database = tmp_path / "a.db"
    database.touch()
    assert fresh.make(database, 1.0)
    jobs = [
        Job(id=f"j{n:04}", type=f"t{n % types}", priority=n % 3, payload=msgspec.Raw(b"{}"))
        for n in range(300)
    ]
    rows = [identity(job) + changing(admitted(job, 1e9), at) for at, job in enumerate(jobs, 1)]
    with closing(open_writer(database, 1.0)) as writer:
        writer.execute(INSERT_ALL, (as_json(rows),))
    ran: list[str] = []
    pairs = tuple(("default", f"t{number}") for number in range(types))
    with closing(open_reader(database, 1.0)) as reader:
        reader.set_trace_callback(ran.append)
        found = waiting(Waiting(pairs=pairs, limit=250, most_bytes=1_000_000), reader).jobs
    best_first = sorted(jobs, key=lambda job: (-job.priority, job.id))
    assert [job.id for job in found] == [job.id for job in best_first[:250]]
    assert len(ran) == statements
    assert all(statement.startswith("SELECT group_concat(r)") for statement in ran)


@pytest.mark.parametrize(("most_bytes", "found", "statements"), [(9000, 7, 1), (4000, 3, 2)])
def test_no_more_large_payloads_are_read_than_are_wanted(
    tmp_path: Path, most_bytes: int, found: int, statements: int
) -> None:
    """One step for all while there is room; else the first that fit, one by one."""
    database = tmp_path / "a.db"
    database.touch()
    assert fresh.make(database, 1.0)
    large = msgspec.Raw(b'"%s"' % (b"x" * 1198))
    jobs = [Job(id=f"j{n}", type="t", payload=large) for n in range(7)]
    rows = [identity(job) + changing(admitted(job, 1e9), at) for at, job in enumerate(jobs, 1)]
    with closing(open_writer(database, 1.0)) as writer:
        writer.execute(INSERT_ALL, (as_json(rows),))
    ran: list[str] = []
    wanted = Waiting(pairs=(("default", "t"),), limit=100, most_bytes=most_bytes)
    with closing(open_reader(database, 1.0)) as reader:
        reader.set_trace_callback(ran.append)
        for _ in range(2):
            head = waiting(wanted, reader)
            assert [job.id for job in head.jobs] == [job.id for job in jobs[:found]]
            assert head.everything == (found == len(jobs))
        assert len(ran) == 2 * statements


def test_what_waits_is_read_without_sorting_the_payloads(tmp_path: Path) -> None:
    """All of them would be read before the first is told."""
    database = tmp_path / "a.db"
    database.touch()
    assert fresh.make(database, 1.0)
    ran: list[str] = []
    with closing(open_reader(database, 1.0)) as reader:
        reader.set_trace_callback(ran.append)
        waiting(Waiting(pairs=(("default", "t"),), limit=100, most_bytes=1), reader)
        steps = reader.execute(f"EXPLAIN QUERY PLAN {ran[0]}").fetchall()
    assert "SEARCH jobs USING PRIMARY KEY (id=?)" in [step for *_, step in steps]
    sorts = [step for *_, step in steps if "TEMP B-TREE" in step]
    assert len(sorts) == 1  # of the best of all pairs, their ids alone


# One job that has them all, and for each of its values one that lacks it.
ODD = {
    "priority": 7,
    "labels": {"a": "ü"},
    "attempts": 2,
    "max_attempts": 5,
    "timeout": 1.5,
    "backoff": Backoff(kind=BackoffKind.FIXED, seconds=2.0),
    "run": 3,
    "lease": 4,
    "crash_count": 1,
    "crash_limit": 9,
    "cancel_requested": True,
    "created_at": 1e9 + 1.0,
    "updated_at": 1e9 + 2.0,
    "enqueued_at": 1e9 + 3.0,
    "run_at": 1e9 + 4.0,
    "error": ErrorInfo(kind="error", message="'\"\\"),
    "trace_context": "c",
    "limit_key": "l",
    "payload": msgspec.Raw(b'["\\u00fc \\"", null]'),
}


def test_what_waits_is_read_as_any_other_job(tmp_path: Path) -> None:
    """Whatever it shares with those beside it, each has its own values."""
    database = tmp_path / "a.db"
    database.touch()
    assert fresh.make(database, 1.0)
    plain = Job(id="plain", type="t", payload=msgspec.Raw(b"{}"), created_at=1e9, updated_at=1e9)
    odd = replace(plain, id="odd", **ODD)
    less = [replace(odd, id=f"no-{name}", **{name: getattr(plain, name)}) for name in ODD]
    jobs = [plain, *less, odd, replace(plain, id="plain-2")]
    rows = [identity(job) + changing(job, at) for at, job in enumerate(jobs, 1)]
    with closing(open_writer(database, 1.0)) as writer:
        writer.execute(INSERT_ALL, (as_json(rows),))
    with closing(open_reader(database, 1.0)) as reader:
        wanted = Waiting(pairs=(("default", "t"),), limit=100, most_bytes=1_000_000)
        found = waiting(wanted, reader).jobs
        assert sorted(found, key=by_id) == sorted(jobs, key=by_id)
        assert [get(job.id, reader) for job in jobs] == jobs
        brief = [replace(job, payload=msgspec.Raw(b""), result=None) for job in jobs]
        many = get_many([job.id for job in jobs], reader)
        assert sorted(many, key=by_id) == sorted(brief, key=by_id)


def by_id(job: Job) -> str:
    """To sort by."""
    return job.id
