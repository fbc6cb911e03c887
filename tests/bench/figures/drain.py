"""Figure 3: a worker starts, and there is much to do."""

from __future__ import annotations

import time
from typing import Final

from tests.bench.deployment import APP, Deployment, deployed
from tests.bench.figures.floors import STORE_BATCHES
from tests.bench.load import generate
from tests.bench.process import Process
from tests.bench.setting import Setting

JOBS: Final = 20_000
BATCH: Final = 500


def measure(setting: Setting) -> None:
    """From the worker's "ready", and from the start of its process (Python's own start in it)."""
    jobs = max(setting.jobs(JOBS), BATCH) // BATCH * BATCH
    setting.board.head("3", f"drain: {jobs:,} queued jobs, a worker starts")
    with deployed(setting.place("drain"), setting.store(), worker=False) as running:
        times = [_drained(running, jobs) for _ in range(setting.rounds)]
    from_ready = [jobs / seconds for seconds, _ in times]
    setting.board.put("from the worker's ready", from_ready, "jobs/s", STORE_BATCHES)
    from_start = [jobs / seconds for _, seconds in times]
    setting.board.put("from the start of its process", from_start, "jobs/s", STORE_BATCHES)


def _drained(running: Deployment, jobs: int) -> tuple[float, float]:
    """Seconds to the last record from the worker's ready, and from its process' start."""
    before = running.succeeded()
    generate(running.port, jobs // BATCH, "--batch", str(BATCH), "--connections", "4")
    log = running.folder / "worker.log"
    running.worker = Process((APP, "worker"), running.environ, log).until_ready()
    ended = running.until_succeeded(before + jobs)
    since_start = ended - running.worker.started
    since_ready = since_start - running.worker.ready_seconds
    running.stop_worker()
    running.wait(lambda stats: stats["workers"].get("workers", 0) == 0)
    return max(since_ready, time.get_clock_info("monotonic").resolution), since_start
