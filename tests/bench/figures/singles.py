"""Figure 1: one job per request, from the first submit to the last record.

By our generator, and by wrk(1) where it is installed, since that takes less of the machine.
"""

from __future__ import annotations

from typing import Final

from tests.bench import wrk
from tests.bench.deployment import deployed
from tests.bench.figures.floors import HTTP, STORE_SINGLES
from tests.bench.load import Round, submitted
from tests.bench.setting import Setting

JOBS: Final = {1: 3_000, 32: 20_000, 128: 20_000}


def rate_name(connections: int) -> str:
    """What the line of the rate by our generator is called."""
    return _rate_name(f"{connections} connections")


def _rate_name(load: str) -> str:
    return f"recorded, {load}"


def measure(setting: Setting) -> None:
    """Each number of connections on a store of its own, after a round to warm up."""
    setting.board.head("1", "one job per request, submit to recorded")
    if not wrk.installed():
        setting.board.note(wrk.MISSING)
    for connections, count in JOBS.items():
        jobs = setting.jobs(count)
        with deployed(setting.place(f"singles-{connections}"), setting.store()) as running:
            submitted(running, jobs // 10, connections=connections)
            rounds = [
                submitted(running, jobs, connections=connections) for _ in range(setting.rounds)
            ]
            _put(setting, f"{connections} connections", rounds)
            if wrk.installed():
                rounds = [wrk.submitted(running, connections) for _ in range(setting.rounds)]
                _put(setting, f"{connections} connections, by wrk", rounds)


def _put(setting: Setting, name: str, rounds: list[Round]) -> None:
    put = setting.board.put
    put(_rate_name(name), [each.recorded for each in rounds], "jobs/s", HTTP, STORE_SINGLES)
    put(f"request p50, {name}", [each.p50_ms for each in rounds], "ms")
    put(f"request p99, {name}", [each.p99_ms for each in rounds], "ms")
