"""The run-time checker: a breach that is planted in the store moves the metric."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import trio

from processes.client import until
from processes.deployment import Deployment


async def test_a_planted_breach_moves_the_metric(deployment: Deployment) -> None:
    """A waiting job that nobody owns is counted once, and everything else stays 0."""
    api = await deployment.api()
    total = "hermesd_invariant_breaches_total"
    assert await deployment.client.metric(total) == 0
    answer = await deployment.client.submit("note")
    await trio.to_thread.run_sync(disown, str(deployment.store), answer["job"]["id"])
    await api.logged("invariant broken")

    async def owner_moved() -> bool:
        return await deployment.client.metric(total, invariant="owner") == 1

    await until(owner_moved, "the metric to move")
    assert await deployment.client.metric(total) == 1


def disown(store: str, job_id: str) -> None:
    """Break invariant 3 behind the daemon's back."""
    with closing(sqlite3.connect(store, timeout=30)) as connection:
        connection.execute("UPDATE jobs SET owner = 'none' WHERE id = ?", (job_id,))
        connection.commit()
