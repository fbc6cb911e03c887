"""Figure 8: what becomes of figure 1 as the deployment grows. It takes long."""

from __future__ import annotations

from typing import Final

import trio

from tests.bench.board import progress
from tests.bench.deployment import Deployment, deployed
from tests.bench.load import submitted
from tests.bench.process import Process
from tests.bench.setting import Setting
from tests.bench.store_floor import fill

CONNECTIONS: Final = 32
JOBS: Final = 10_000
FINISHED: Final = (0, 100_000, 1_000_000)
WORKERS: Final = (1, 10, 100)
PAYLOAD_BYTES: Final = {100: 10_000, 100_000: 1_000}
SLOPE_JOBS: Final = 1_000_000
STRIDE_JOBS: Final = 25_000
BATCH: Final = 500
KEEP: Final = {"HERMES_RETENTION__ENABLED": "false"}


def measure(setting: Setting) -> None:
    """All of it; every row on a store of its own."""
    setting.board.head("8", f"growth: figure 1 with {CONNECTIONS} connections, as things grow")
    for finished in FINISHED:
        _with_finished(setting, int(finished * min(setting.scale, 1.0)))
    for count in WORKERS:
        with deployed(setting.place(f"workers-{count}"), worker=False) as running:
            running.start_fleet(count)
            _put(setting, running, f"recorded, {count} workers", JOBS)
    for size, jobs in PAYLOAD_BYTES.items():
        with deployed(setting.place(f"payload-{size}")) as running:
            name = f"recorded, payloads of {size:,} bytes"
            _put(setting, running, name, jobs, "--payload-bytes", str(size))
    _slope(setting)


def _with_finished(setting: Setting, finished: int) -> None:
    folder = setting.place(f"finished-{finished}")
    progress(f"making {finished:,} finished jobs")
    trio.run(fill, folder / "hermes.db", finished)
    with deployed(folder, KEEP) as running:
        _put(setting, running, f"recorded, {finished:,} finished jobs in the store", JOBS)


def _put(setting: Setting, running: Deployment, name: str, count: int, *options: str) -> None:
    jobs = setting.jobs(count)
    submitted(running, jobs // 10, *options, connections=CONNECTIONS)
    rounds = [
        submitted(running, jobs, *options, connections=CONNECTIONS) for _ in range(setting.rounds)
    ]
    setting.board.put(name, [each.recorded for each in rounds], "jobs/s")


def _slope(setting: Setting) -> None:
    """Resident memory of each process while a million jobs go through."""
    jobs = max(setting.jobs(SLOPE_JOBS), STRIDE_JOBS * 8)
    with deployed(setting.place("slope"), KEEP) as running:
        assert running.worker is not None
        processes = {"api": running.api, "worker": running.worker}
        seen: dict[str, list[tuple[int, float]]] = {role: [] for role in processes}
        for done in range(STRIDE_JOBS, jobs + 1, STRIDE_JOBS):
            submitted(running, STRIDE_JOBS, connections=4, batch=BATCH)
            progress(f"{done:,} of {jobs:,} jobs")
            _sample(processes, seen, done)
    for role, points in seen.items():
        name = f"{role}: memory per 100,000 jobs, last quarter of {jobs:,}"
        setting.board.put(name, [slope(points[len(points) * 3 // 4 :]) * 100_000 / 1e6], "MB")
        setting.board.put(f"{role}: memory in the end", [points[-1][1] / 1e6], "MB")


def _sample(
    processes: dict[str, Process], seen: dict[str, list[tuple[int, float]]], done: int
) -> None:
    for role, process in processes.items():
        seen[role].append((done, float(process.rss_bytes)))


def slope(points: list[tuple[int, float]]) -> float:
    """Of the straight line with the least squares through `points`."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
