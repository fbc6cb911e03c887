"""Figure 7: from nothing to the first job, and what a daemon costs that has nothing to do."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from tests.bench.deployment import APP, deployed, environment
from tests.bench.process import Process
from tests.bench.setting import Setting
from tests.processes.ports import free_port

IDLE_SECONDS: Final = 60.0
KINDS: Final = {"noop": "in-process handler", "noop.process": "process handler"}


def measure(setting: Setting) -> None:
    """Each round begins with no store at all, so that its making is part of the first start."""
    board = setting.board
    board.head("7", f"cold start, and idle over {IDLE_SECONDS:.0f} s")
    ready: dict[str, list[float]] = {"both roles, no store": [], "both roles, store there": []}
    first: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(setting.rounds):
        folder, store = setting.place(f"start-{number}"), setting.store()
        _started(folder, store, ready["both roles, no store"])
        for kind in KINDS:
            daemon = _started(folder, store, ready["both roles, store there"], kind)
            first[kind].append(daemon)
    for name, values in ready.items():
        board.put(f"start to ready, {name}", values, "s")
    for kind, what in KINDS.items():
        board.put(f"start to first job recorded, {what}", first[kind], "s")
    _measure_idle(setting)


def _started(
    folder: Path, store: Mapping[str, str], ready: list[float], kind: str | None = None
) -> float:
    """Start a daemon and note how long it took; with a kind, seconds until its job has ended."""
    port = free_port()
    environ = environment(folder, port, store)
    daemon = Process((APP, "both"), environ, folder / "both.log").until_ready()
    ready.append(daemon.ready_seconds)
    try:
        if kind is None:
            return 0.0
        _run_one(port, kind)
        return time.monotonic() - daemon.started
    finally:
        daemon.stop()


def _run_one(port: int, kind: str) -> None:
    """Submit a job and wait for its end."""
    base = f"http://127.0.0.1:{port}/jobs"
    body = json.dumps({"type": kind}).encode()
    request = Request(base, body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        job_id = json.load(answer)["job"]["id"]
    with urlopen(f"{base}/{job_id}?wait=30", timeout=60) as answer:
        state = json.load(answer)["job"]["state"]
    assert state == "succeeded", f"the first {kind} job is {state}"


def _measure_idle(setting: Setting) -> None:
    with deployed(setting.place("idle"), setting.store()) as running:
        assert running.worker is not None
        processes = {"api": running.api, "worker": running.worker}
        time.sleep(1.0)  # what belongs to the start is over
        before = {role: process.cpu_seconds for role, process in processes.items()}
        time.sleep(IDLE_SECONDS)
        for role, process in processes.items():
            share = (process.cpu_seconds - before[role]) / IDLE_SECONDS
            setting.board.put(f"{role}, idle: resident memory", [process.rss_bytes / 1e6], "MB")
            setting.board.put(f"{role}, idle: CPU of one core", [share * 100], "%")
            setting.board.put(f"{role}: start to ready", [process.ready_seconds], "s")
