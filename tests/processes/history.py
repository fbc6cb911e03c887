"""The history of a deployment, read from its store and from what its handlers wrote down."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


class Row(NamedTuple):
    """A job as the store has it."""

    state: str
    lease: int
    owner: str
    attempts: int
    crash_count: int
    type: str


class Start(NamedTuple):
    """One call of a handler."""

    job_id: str
    lease: int
    attempt: int
    pid: int


class History:
    """Reads on its own, by none of the daemon's code."""

    def __init__(self, store: Path, record_file: Path) -> None:
        self._store = store
        self._record_file = record_file

    def jobs(self) -> dict[str, Row]:
        """All jobs by id."""
        with closing(sqlite3.connect(f"file:{self._store}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT id, state, lease, owner, attempts, crash_count, type FROM jobs"
            )
            return {job_id: Row(*rest) for job_id, *rest in rows}

    def starts(self) -> list[Start]:
        """All calls of handlers, in order."""
        if not self._record_file.exists():
            return []
        lines = (line.split() for line in self._record_file.read_text().splitlines())
        return [Start(each[0], int(each[1]), int(each[2]), int(each[3])) for each in lines]

    def starts_of(self, job_id: str) -> list[Start]:
        """The calls for one job."""
        return [start for start in self.starts() if start.job_id == job_id]

    def check(self, accepted: Iterable[str], *, unclaimed: bool = False) -> dict[str, Row]:
        """Raise AssertionError where the promises of the design do not hold; answers all jobs.

        Every accepted id is there, every job has ended and has no owner, no token was started
        twice, and a job that succeeded did so under a token that was started. Where workers may
        have run `unclaimed` jobs, that is also the lease before: such a run has its message's
        lease, and its outcome is the claim as well.
        """
        jobs, starts = self.jobs(), self.starts()
        lost = set(accepted) - jobs.keys()
        assert not lost, f"{len(lost)} accepted jobs are not in the store: {sorted(lost)[:5]}"
        live = {job_id: row for job_id, row in jobs.items() if row.state not in TERMINAL}
        assert not live, f"{len(live)} jobs have not ended: {list(live.items())[:5]}"
        owned = {job_id for job_id, row in jobs.items() if row.owner != "none"}
        assert not owned, f"{len(owned)} ended jobs have an owner: {sorted(owned)[:5]}"
        tokens = Counter((start.job_id, start.lease) for start in starts)
        doubled = [token for token, number in tokens.items() if number > 1]
        assert not doubled, f"{len(doubled)} tokens were started twice: {doubled[:5]}"
        ghosts = [
            (job_id, row)
            for job_id, row in jobs.items()
            if row.state == "succeeded"
            and (job_id, row.lease) not in tokens
            and not (unclaimed and (job_id, row.lease - 1) in tokens)
        ]
        assert not ghosts, f"{len(ghosts)} jobs succeeded without their token: {ghosts[:5]}"
        return jobs
