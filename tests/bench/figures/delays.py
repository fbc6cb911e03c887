"""Figure 10: how late jobs start that wait for their time, with many more of them in the store."""

from __future__ import annotations

import json
import time
from typing import Final
from urllib.request import Request, urlopen

from tests.bench.deployment import Deployment, deployed
from tests.bench.setting import Setting

SCHEDULED: Final = 100_000
BATCH: Final = 5_000
DUE: Final = 200
AHEAD_SECONDS: Final = 3.0
APART_SECONDS: Final = 0.02
FAR_SECONDS: Final = 7 * 86_400


def measure(setting: Setting) -> None:
    """A job every 20 ms is due; the others are for next week."""
    scheduled = setting.jobs(SCHEDULED)
    setting.board.head("10", f"delays: time to handler start, {scheduled:,} more are scheduled")
    with deployed(setting.place("delays"), setting.store()) as running:
        for start in range(0, scheduled, BATCH):
            count = min(BATCH, scheduled - start)
            _submit(running, [{"type": "noop", "delay": FAR_SECONDS}] * count)
        _measured(running, 50)
        found = [_measured(running, DUE) for _ in range(setting.rounds)]
    for share in (0.5, 0.99):
        values = [late[min(int(len(late) * share), len(late) - 1)] for late in found]
        setting.board.put(f"due to start p{share * 100:.0f}", values, "ms")


def _measured(running: Deployment, jobs: int) -> list[float]:
    """How late each started, in milliseconds, sorted."""
    before = running.succeeded()
    wall, steady = time.time(), time.monotonic_ns()
    items = []
    for number in range(jobs):
        ahead = AHEAD_SECONDS + number * APART_SECONDS
        due_ns = steady + int(ahead * 1e9)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall + ahead))
        run_at = f"{moment}{f'{(wall + ahead) % 1:.6f}'[1:]}Z"
        items.append({"type": "stamp", "run_at": run_at, "payload": {"sent_ns": due_ns}})
    _submit(running, items)
    running.until_succeeded(before + jobs)
    late = sorted(running.delays_ms())
    assert len(late) == jobs, f"{len(late)} starts of {jobs} jobs"
    return late


def _submit(running: Deployment, items: list[dict[str, object]]) -> None:
    request = Request(
        f"http://127.0.0.1:{running.port}/jobs/batch",
        data=json.dumps({"jobs": items}).encode(),
        headers={"content-type": "application/json"},
    )
    with urlopen(request, timeout=60) as answer:
        assert answer.status == 202
