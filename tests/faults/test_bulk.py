"""Orders to 100,000 jobs at once, while submits go on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import psycopg
import pytest
import trio
from databases.postgresql import PostgresServer
from processes.daemon import PATIENCE_SECONDS
from processes.deployment import Deployment

pytestmark = pytest.mark.faults  # slow: 100,000 jobs

JOBS = 100_000
LONGEST_SECONDS = 10.0  # that a submit may take beside an order, on a machine with much else to do
ROOM = {"HERMES_API__MAX_WAITING_JOBS": "1000000"}
FILL = """
INSERT INTO jobs (id, type, queue, priority, state, payload, attempts, max_attempts, timeout_us,
  backoff, labels, run, lease, owner, crash_count, crash_limit, cancel_requested, order_key,
  created_us, updated_us, finished_us, error)
SELECT {job_id}, 'note', 'default', CASE WHEN n % 10 = 0 THEN 7 ELSE 3 END, 'failed', '{{}}', 1,
  3, 1000000, '{{}}', '{{"of":"old"}}', 1, 1, 'none', 0, 3, 0, n, {now}, {now}, {now},
  '{{"kind":"error","message":"no room"}}'
FROM {numbers}
"""
SQLITE = FILL.format(
    now="unixepoch() * 1000000",
    job_id="printf('019a0000-0000-7000-8000-%012d', n)",
    numbers=f"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {JOBS}) "
    "SELECT n FROM c)",
)
POSTGRESQL = FILL.format(
    now="(extract(epoch FROM now()) * 1000000)::bigint",
    job_id="'019a0000-0000-7000-8000-' || lpad(n::text, 12, '0')",
    numbers=f"generate_series(1, {JOBS}) AS n",
)


class Submits:
    """Sends one submit after the other, and keeps what became of each."""

    def __init__(self, deployment: Deployment) -> None:
        self.statuses: list[int] = []
        self.longest = 0.0
        self._http = deployment.client.http

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            begun = trio.current_time()
            answer = await self._http.post("/jobs", json={"type": "note", "payload": {}})
            self.longest = max(self.longest, trio.current_time() - begun)
            self.statuses.append(answer.status_code)


async def carried_out(deployment: Deployment, path: str, order: dict[str, Any]) -> dict[str, int]:
    """The sums of an order's answers, and how many there were."""
    sums = {"parts": 0}
    cursor = None
    while sums["parts"] == 0 or cursor is not None:
        body = order if cursor is None else {**order, "cursor": cursor}
        answer = await deployment.client.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        cursor = told.pop("cursor")
        assert not told.pop("held_back")
        sums["parts"] += 1
        for name, number in told.items():
            sums[name] = sums.get(name, 0) + number
    return sums


@pytest.fixture(params=["sqlite", "postgresql"])
async def old_failures(
    request: pytest.FixtureRequest, deployment: Deployment, postgresql: PostgresServer
) -> Deployment:
    """An api without workers over that many failed jobs, with room for all of them to wait."""
    on_postgresql = request.param == "postgresql"
    url = postgresql.url(postgresql.fresh()) if on_postgresql else f"sqlite:///{deployment.store}"
    deployment.settings = {**ROOM, "HERMES_STORE__URL": url}
    first = await deployment.both()
    await deployment.client.routable("both")
    first.sigterm()
    assert await first.wait() == 0

    def fill() -> None:
        if on_postgresql:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(POSTGRESQL)
        else:
            with closing(sqlite3.connect(deployment.store)) as database, database:
                database.execute(SQLITE)

    await trio.to_thread.run_sync(fill)
    await deployment.api()
    return deployment


async def test_100_000_jobs_are_requeued_while_submits_go_on(
    old_failures: Deployment,
) -> None:
    """In parts, and some are cancelled again; no submit is refused, or waits for long."""
    submits = Submits(old_failures)
    with trio.fail_after(PATIENCE_SECONDS * 10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submits.run)
            requeued = await carried_out(old_failures, "/dlq/requeue", {"all": True})
            some = {"filter": {"label": "of=old", "state": "queued", "priority": 7}}
            cancelled = await carried_out(old_failures, "/jobs/cancel", some)
            nursery.cancel_scope.cancel()
    assert (requeued["matched"], requeued["requeued"], requeued["skipped"]) == (JOBS, JOBS, 0)
    assert requeued["parts"] >= 10
    assert cancelled["changed"] == cancelled["matched"] == JOBS // 10
    assert set(submits.statuses) == {202}
    assert submits.longest < LONGEST_SECONDS
    jobs = (await old_failures.client.stats())["jobs"]
    assert (jobs["failed"], jobs["cancelled"]) == (0, JOBS // 10)
    # One submit more may have been taken whose answer nobody waited for.
    queued = JOBS - JOBS // 10 + len(submits.statuses)
    assert jobs["queued"] in (queued, queued + 1)
