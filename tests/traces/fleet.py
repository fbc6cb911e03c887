"""Daemons of tests/traces/daemon.py, and a client that says which trace a job belongs to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from processes.ports import free_port

from hermesd.client import Client
from hermesd.client.answers import JobView

SCRIPT: Final = Path(__file__).with_name("daemon.py")
PATIENCE_SECONDS: Final = 150.0
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER: Final = "00f067aa0ba902b7"
PARENT: Final = f"00-{TRACE}-{CALLER}-01"
STATE: Final = "vendor=value"


class Fleet:
    """Processes over one store; `log` has what they wrote to stderr."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self._folder = folder
        self._port, self._control = free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, role: str, *arguments: str, **settings: str) -> None:
        """Start a daemon; returns when it says that everything serves."""
        environ = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("HERMES", "OTEL"))
        }
        environ |= {
            "HERMES_LOG__FORMAT": "json",
            "HERMES_STORE__URL": f"sqlite:///{self._folder}/hermes.db",
            "HERMES_API__NAME": "api-1",
            "HERMES_API__PORT": str(self._port),
            "HERMES_CONTROL__PORT": str(self._control),
            "HERMES_CONTROL__ENDPOINTS": json.dumps([f"127.0.0.1:{self._control}"]),
            "HERMES_WORKER__PORT": "0",
            "HERMES_WORKER__ID": "worker-1",
            **settings,
        }
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), role, *arguments], env=environ, stderr=subprocess.PIPE
        )
        self._processes.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            with self.log.open("ab") as log:
                log.write(line)
            if b'"event": "ready"' in line:
                break
        else:
            raise AssertionError(f"the {role} did not start: {self.log.read_text()}")

    def run(self, job_type: str, payload: Any = None) -> JobView:
        """The job of that type, in the trace of a caller, when it has ended."""
        return self.ended(self.submit(job_type, payload))

    def submit(self, job_type: str, payload: Any = None) -> str:
        """The id of a job in the trace of a caller."""
        answer = httpx.post(
            f"http://127.0.0.1:{self._port}/jobs",
            json={"type": job_type, "payload": payload or {}},
            headers={"traceparent": PARENT, "tracestate": STATE},
            timeout=PATIENCE_SECONDS,
        )
        assert answer.status_code == 202, answer.text
        found: str = answer.json()["job"]["id"]
        return found

    def ended(self, job_id: str) -> JobView:
        """A job when it has."""
        with Client(f"http://127.0.0.1:{self._port}") as client:
            return client.wait(job_id, PATIENCE_SECONDS)

    def stop(self) -> None:
        """End all in order, the last one first; what they say meanwhile is in the log."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            _, rest = process.communicate(timeout=PATIENCE_SECONDS)
            with self.log.open("ab") as log:
                log.write(rest)
            assert process.returncode == 0

    def kill(self) -> None:
        """End what still runs."""
        for process in self._processes:
            process.kill()
            process.wait(PATIENCE_SECONDS)


@contextmanager
def open_fleet(folder: Path) -> Iterator[Fleet]:
    """Nothing runs yet, and nothing will when the block has ended."""
    fleet = Fleet(folder)
    try:
        yield fleet
    finally:
        fleet.kill()
