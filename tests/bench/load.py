"""One round: the generator as a process, and when its last job was recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from tests.bench.board import progress
from tests.bench.deployment import Deployment
from tests.bench.process import ROOT

GENERATOR_SECONDS = 900.0


@dataclass(frozen=True)
class Round:
    """`accepted` and `recorded` are jobs a second from the first submit."""

    accepted: float
    recorded: float
    p50_ms: float
    p99_ms: float


def generate(port: int, requests: int, *options: str) -> dict[str, float]:
    """Run the generator; its result. RuntimeError unless every answer was a 2xx."""
    command = [sys.executable, "-m", "tests.bench.generator", str(port)]
    told = subprocess.run(
        [*command, "--requests", str(requests), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=GENERATOR_SECONDS,
    )
    result = json.loads(told.stdout)
    statuses = result.pop("statuses")
    good = sum(count for status, count in statuses.items() if status.startswith("2"))
    if good != requests:
        raise RuntimeError(f"not every request was accepted: {statuses}")
    found: dict[str, float] = result
    return found


def submitted(
    running: Deployment, jobs: int, *options: str, connections: int = 1, batch: int = 0
) -> Round:
    """Submit so many jobs and wait until all are recorded."""
    before = running.succeeded()
    size = batch or 1
    shape = ("--connections", str(connections), "--batch", str(batch))
    result = generate(running.port, jobs // size, *shape, *options)
    jobs = jobs // size * size
    ended = running.until_succeeded(before + jobs)
    return Round(
        accepted=jobs / result["seconds"],
        recorded=jobs / (ended - result["began"]),
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
    )


def fill(running: Deployment, jobs: int) -> None:
    """Have so many more finished jobs in its store."""
    progress(f"making {jobs:,} finished jobs")
    submitted(running, jobs, connections=4, batch=500)
