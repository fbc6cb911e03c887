"""The benchmark suite: `make bench`. Every figure is the median of ROUNDS rounds, with min and max.

On the machine that it runs on, load generator included, fsync on. Rates are jobs/s from the first
submit until the last job is recorded.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from deployment import Deployment, deployed

ROUNDS = 3
JOBS = {1: 3_000, 32: 20_000, 128: 20_000}
IDLE_SECONDS = 3.0


def main() -> int:
    """Run all figures and print them."""
    with tempfile.TemporaryDirectory(prefix="hermesd-bench-") as folder:
        idle(Path(folder))
        for connections, jobs in JOBS.items():
            singles(Path(folder), connections, jobs)
    return 0


def idle(folder: Path) -> None:
    """Resident memory and start time of each role, idle."""
    place = folder / "idle"
    place.mkdir()
    with deployed(place) as running:
        time.sleep(IDLE_SECONDS)
        assert running.worker is not None
        for role, process in (("api", running.api), ("worker", running.worker)):
            megabytes = process.rss_bytes / 1e6
            show(f"{role}: resident memory, idle", [megabytes], "MB")
            show(f"{role}: start to ready", [process.ready_seconds], "s")


def singles(folder: Path, connections: int, jobs: int) -> None:
    """One job per request, submit to recorded."""
    place = folder / f"singles-{connections}"
    place.mkdir()
    rates, halves, tails = [], [], []
    with deployed(place) as running:
        _round(running, connections, jobs // 10)
        for _ in range(ROUNDS):
            rate, p50, p99 = _round(running, connections, jobs)
            rates.append(rate)
            halves.append(p50)
            tails.append(p99)
    show(f"one job per request, {connections} connections", rates, "jobs/s")
    show(f"  request p50, {connections} connections", halves, "ms")
    show(f"  request p99, {connections} connections", tails, "ms")


def _round(running: Deployment, connections: int, jobs: int) -> tuple[float, float, float]:
    before = running.stats()["jobs"]["succeeded"]
    started = time.monotonic()
    generator = Path(__file__).with_name("generator.py")
    command = [sys.executable, str(generator), str(running.port), str(connections), str(jobs)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(told.stdout)
    if result["statuses"] != {"202": jobs}:
        raise RuntimeError(f"not every submit was accepted: {result['statuses']}")
    ended = running.wait(lambda stats: stats["jobs"]["succeeded"] >= before + jobs)
    return jobs / (ended - started), result["p50_ms"], result["p99_ms"]


def show(name: str, values: Sequence[float], unit: str) -> None:
    """One line: median, and the range where there were several rounds."""
    median = statistics.median(values)
    spread = f"  (min {min(values):,.2f}, max {max(values):,.2f})" if len(values) > 1 else ""
    print(f"{name:<48} {median:>12,.2f} {unit}{spread}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
