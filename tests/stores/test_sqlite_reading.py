"""Reading what waits: one statement with one row, however many jobs there are.

Each further row would give the interpreter's lock away, which takes milliseconds to get back beside
a busy event loop.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from hermesd.core.job import Job
from hermesd.core.records import Waiting
from hermesd.stores.moves import admitted
from hermesd.stores.rows import as_json, changing, identity
from hermesd.stores.sqlite import fresh
from hermesd.stores.sqlite.connection import open_reader, open_writer
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
        found = waiting(Waiting(pairs=pairs, limit=250), reader)
    best_first = sorted(jobs, key=lambda job: (-job.priority, job.id))
    assert [job.id for job in found] == [job.id for job in best_first[:250]]
    assert len(ran) == statements
    assert all(statement.startswith("SELECT group_concat(r)") for statement in ran)
