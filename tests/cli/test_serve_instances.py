"""Several daemons of one machine on one configuration, by the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import gethostname
from typing import Any

import httpx
import pytest

PATIENCE_SECONDS = 150.0
COMMON = """
[api]
port = 0
[control]
port = 0
[store]
url = "sqlite:///{folder}/hermes.db"
[worker]
require_handlers = false
[log]
format = "json"
"""

SERVES = {"ready", "registered"}

Start = Callable[[str], dict[str, dict[str, Any]]]


@pytest.fixture
def start(tmp_path: Path, environ: dict[str, str]) -> Iterator[Start]:
    """Starts an instance; the answer is what it has logged until it serves, by its events."""
    running: list[subprocess.Popen[str]] = []

    def start(instance: str) -> dict[str, dict[str, Any]]:
        argv = [sys.executable, "-m", "hermesd.cli", "-c", str(tmp_path / "hermes.toml")]
        argv += ["serve", "--instance", instance]
        process = subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stderr is not None
        log: dict[str, dict[str, Any]] = {}
        for line in process.stderr:
            event = json.loads(line)
            log[event["event"]] = event
            if log.keys() >= SERVES:
                return log
        raise AssertionError(log)

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_two_instances_that_work_share_a_machine(start: Start, tmp_path: Path) -> None:
    """Each has an id of its own, and the second one a free port with nothing said of it."""
    (tmp_path / "hermes.toml").write_text(COMMON.format(folder=tmp_path))
    own = tmp_path / "hermes.d"
    own.mkdir()
    (own / "both.toml").write_text("[worker]\nport = 0\n")
    first = start("both")["ready"]
    (own / "worker-2.toml").write_text(f"[control]\nendpoints = ['{first['control']}']\n")
    second = start("worker-2")["ready"]
    host = gethostname()
    assert (first["role"], first["worker_id"]) == ("both", f"{host}-both")
    assert (second["role"], second["worker_id"]) == ("worker", f"{host}-worker-2")
    workers = httpx.get(f"http://{first['api']}/workers", timeout=PATIENCE_SECONDS).json()
    known = {each["worker_id"]: each["address"] for each in workers["workers"]}
    assert known == {each["worker_id"]: each["dispatch"] for each in (first, second)}
