"""Figure 2: jobs submitted many at a time."""

from __future__ import annotations

from typing import Final

from tests.bench.deployment import deployed
from tests.bench.figures.floors import STORE_BATCHES
from tests.bench.load import submitted
from tests.bench.setting import Setting

JOBS: Final = 50_000
BATCH: Final = 500
CONNECTIONS: Final = 4


def measure(setting: Setting) -> None:
    """Over few connections: each batch is a commit of its own size."""
    board, jobs = setting.board, max(setting.jobs(JOBS), BATCH * CONNECTIONS)
    board.head("2", f"batches of {BATCH}, {CONNECTIONS} connections")
    with deployed(setting.place("batches"), setting.store()) as running:
        submitted(running, BATCH * CONNECTIONS, connections=CONNECTIONS, batch=BATCH)
        rounds = [
            submitted(running, jobs, connections=CONNECTIONS, batch=BATCH)
            for _ in range(setting.rounds)
        ]
    board.put("accepted", [each.accepted for each in rounds], "jobs/s", STORE_BATCHES)
    board.put("recorded", [each.recorded for each in rounds], "jobs/s", STORE_BATCHES)
    board.put("request p50", [each.p50_ms for each in rounds], "ms")
    board.put("request p99", [each.p99_ms for each in rounds], "ms")
