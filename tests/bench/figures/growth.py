"""Figure 8: what becomes of figure 1 as the deployment grows. It takes long."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

from tests.bench.board import progress
from tests.bench.deployment import Deployment, deployed
from tests.bench.load import fill, submitted
from tests.bench.process import Process
from tests.bench.setting import Setting

CONNECTIONS: Final = 32
JOBS: Final = 10_000
FINISHED: Final = (0, 100_000, 1_000_000)
WORKERS: Final = (1, 10, 100)
PAYLOAD_BYTES: Final = {100: 10_000, 100_000: 1_000}
SLOPE_JOBS: Final = 1_000_000
STRIDE_JOBS: Final = 10_000
BATCH: Final = 500
KEEP: Final = {"HERMES_RETENTION__ENABLED": "false"}


def measure(setting: Setting) -> None:
    """All of it; every row on a store of its own."""
    setting.board.head("8", f"growth: figure 1 with {CONNECTIONS} connections, as things grow")
    with ExitStack() as stack:
        _alternate(setting, [_with_finished(setting, stack, count) for count in FINISHED])
    with ExitStack() as stack:
        _alternate(setting, [_with_workers(setting, stack, count) for count in WORKERS])
    for size, jobs in PAYLOAD_BYTES.items():
        with deployed(setting.place(f"payload-{size}"), setting.store()) as running:
            options = ("--payload-bytes", str(size))
            _alternate(setting, [Case(f"payloads of {size:,} bytes", running, jobs, options)])
    _slope(setting)


class Case(NamedTuple):
    """One deployment, and what is put upon it."""

    name: str
    running: Deployment
    jobs: int = JOBS
    options: tuple[str, ...] = ()


def _with_finished(setting: Setting, stack: ExitStack, count: int) -> Case:
    finished = int(count * min(setting.scale, 1.0))
    folder = setting.place(f"finished-{count}")
    running = stack.enter_context(deployed(folder, {**KEEP, **setting.store()}))
    if finished:
        fill(running, finished)
    return Case(f"{finished:,} finished jobs in the store", running)


def _with_workers(setting: Setting, stack: ExitStack, count: int) -> Case:
    running = stack.enter_context(
        deployed(setting.place(f"workers-{count}"), setting.store(), worker=False)
    )
    running.start_fleet(count)
    return Case(f"{count} workers", running)


def _alternate(setting: Setting, cases: Sequence[Case]) -> None:
    """The rounds of all cases by turns, so that a machine's moods touch them alike."""
    values: list[list[float]] = [[] for _ in cases]
    for number in range(setting.rounds + 1):
        for case, found in zip(cases, values, strict=True):
            jobs = setting.jobs(case.jobs if number else case.jobs // 10)  # the first warms up
            result = submitted(case.running, jobs, *case.options, connections=CONNECTIONS)
            if number:
                found.append(result.recorded)
    first = f"recorded, {cases[0].name}"
    for case, found in zip(cases, values, strict=True):
        others = () if case is cases[0] else (first,)
        setting.board.put(f"recorded, {case.name}", found, "jobs/s", *others)


def _slope(setting: Setting) -> None:
    """Resident memory of each process while a million jobs go through."""
    jobs = max(setting.jobs(SLOPE_JOBS), STRIDE_JOBS * 8)
    with deployed(setting.place("slope"), {**KEEP, **setting.store()}) as running:
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
