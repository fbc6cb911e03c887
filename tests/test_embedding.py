"""The script of the README that is a daemon runs, as a process, with a job of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hermesd.client import Client
from hermesd.core.states import State

README = Path(__file__).parent.parent / "README.md"
SCRIPT = re.compile(r"^```python\n(# greetings\.py\n.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE_SECONDS = 150.0


class Embedded:
    """The running script; `places` are the addresses in its log line "ready"."""

    def __init__(self, script: Path) -> None:
        environ = {name: text for name, text in os.environ.items() if not name.startswith("HERMES")}
        for key in ("API__PORT", "CONTROL__PORT", "WORKER__PORT"):
            environ[f"HERMES_{key}"] = "0"
        environ["HERMES_STORE__URL"] = "sqlite:///greetings.db"
        environ["HERMES_LOG__FORMAT"] = "json"
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            cwd=script.parent,
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self.places: dict[str, Any] = {}
        self._ready_or_ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def until_ready(self) -> None:
        assert self._ready_or_ended.wait(PATIENCE_SECONDS), self.log
        assert self.places, self.log

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if '"event": "ready"' in line:
                self.places = json.loads(line)
                self._ready_or_ended.set()
        self._ready_or_ended.set()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    (script,) = SCRIPT.findall(README.read_text(encoding="utf-8"))
    path = tmp_path / "greetings.py"
    path.write_text(script, encoding="utf-8")
    running = Embedded(path)
    try:
        running.until_ready()
        yield running
    finally:
        running.process.kill()
        running.process.wait(PATIENCE_SECONDS)


def test_a_script_of_ten_lines_runs_both_roles_and_its_job(embedded: Embedded) -> None:
    """And ends with 0 when it is told to."""
    with Client(f"http://{embedded.places['api']}") as client:
        submission = client.submit("greet", {"name": "Ada"})
        job = client.wait(submission.job.id, PATIENCE_SECONDS)
    assert (job.state, job.result, job.attempts) == (State.SUCCEEDED, "Hello, Ada!", 1)
    embedded.process.send_signal(signal.SIGTERM)
    assert embedded.process.wait(PATIENCE_SECONDS) == 0
    assert not [line for line in embedded.log if "Traceback" in line]


def test_the_script_has_ten_lines() -> None:
    """Blank ones and its name not counted."""
    (script,) = SCRIPT.findall(README.read_text(encoding="utf-8"))
    lines = [line for line in script.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) == 10
