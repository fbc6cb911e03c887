"""Figure 1: one job per request, from the first submit to the last record."""

from __future__ import annotations

from typing import Final

from tests.bench.deployment import deployed
from tests.bench.figures.floors import HTTP, STORE_SINGLES
from tests.bench.load import submitted
from tests.bench.setting import Setting

JOBS: Final = {1: 3_000, 32: 20_000, 128: 20_000}


def rate_name(connections: int) -> str:
    """What the line of the rate is called."""
    return f"recorded, {connections} connections"


def measure(setting: Setting) -> None:
    """Each number of connections on a store of its own, after a round to warm up."""
    setting.board.head("1", "one job per request, submit to recorded")
    for connections, count in JOBS.items():
        jobs = setting.jobs(count)
        with deployed(setting.place(f"singles-{connections}"), setting.store()) as running:
            submitted(running, jobs // 10, connections=connections)
            rounds = [
                submitted(running, jobs, connections=connections) for _ in range(setting.rounds)
            ]
        put, name = setting.board.put, f"{connections} connections"
        recorded = [each.recorded for each in rounds]
        put(rate_name(connections), recorded, "jobs/s", HTTP, STORE_SINGLES)
        put(f"request p50, {name}", [each.p50_ms for each in rounds], "ms")
        put(f"request p99, {name}", [each.p99_ms for each in rounds], "ms")
