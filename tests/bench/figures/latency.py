"""Figures 4 and 5: from the sending of a submit to the start of its handler.

Both read the machine's monotonic clock: the generator writes it into the payload, the handler
takes the difference first thing.
"""

from __future__ import annotations

from typing import Final

from tests.bench.deployment import Deployment, deployed
from tests.bench.figures.singles import rate_name
from tests.bench.load import generate, submitted
from tests.bench.setting import Setting

IDLE_JOBS: Final = 300
IDLE_RATE: Final = 100.0
LOAD_SECONDS: Final = 5.0
LOAD_CONNECTIONS: Final = 32
SHARES: Final = (0.1, 0.5, 0.9)


def measure_idle(setting: Setting) -> None:
    """A job every 10 ms: what it takes when nothing else is going on."""
    setting.board.head("4", "idle latency: a job every 10 ms, submit to handler start")
    with deployed(setting.place("idle-latency"), setting.store()) as running:
        _measured(running, 50, IDLE_RATE, 1)
        found = [
            _measured(running, setting.jobs(IDLE_JOBS), IDLE_RATE, 1) for _ in range(setting.rounds)
        ]
    _put(setting, "", found)


def measure_loaded(setting: Setting) -> None:
    """At shares of what figure 1 reached with as many connections."""
    setting.board.head("5", "load latency: the same under load")
    with deployed(setting.place("load-latency"), setting.store()) as running:
        top = setting.board.median(rate_name(LOAD_CONNECTIONS))
        if top is None:
            jobs = setting.jobs(10_000)
            submitted(running, jobs // 10, connections=LOAD_CONNECTIONS)
            top = submitted(running, jobs, connections=LOAD_CONNECTIONS).recorded
        for share in SHARES:
            setting.board.note(f"{share:.0%}: {top * share:,.0f} jobs/s")
            jobs = setting.jobs(int(top * share * LOAD_SECONDS))
            found = [
                _measured(running, jobs, top * share, LOAD_CONNECTIONS)
                for _ in range(setting.rounds)
            ]
            _put(setting, f" at {share:.0%}", found)


def _measured(running: Deployment, jobs: int, rate: float, connections: int) -> list[float]:
    """Milliseconds of each job, sorted."""
    before = running.succeeded()
    shape = ("--rate", str(rate), "--connections", str(connections), "--type", "stamp")
    generate(running.port, jobs, *shape)
    running.until_succeeded(before + jobs)
    delays = sorted(running.delays_ms())
    assert len(delays) == jobs, f"{len(delays)} starts of {jobs} jobs"
    return delays


def _put(setting: Setting, where: str, found: list[list[float]]) -> None:
    for share in (0.5, 0.99):
        values = [delays[min(int(len(delays) * share), len(delays) - 1)] for delays in found]
        setting.board.put(f"submit to start p{share * 100:.0f}{where}", values, "ms")
