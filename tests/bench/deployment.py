"""Starts an api and a worker as processes of their own, as they run in production: fsync on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

APP = Path(__file__).with_name("app.py")
START_SECONDS = 30.0


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Process:
    """One daemon; `ready_seconds` is from its start to its READY."""

    popen: subprocess.Popen[str]
    ready_seconds: float

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far (proc(5), stat)."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_bytes(self) -> int:
        """Resident memory (proc(5), statm)."""
        fields = Path(f"/proc/{self.popen.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(30)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


@dataclass
class Deployment:
    """An api and (once started) a worker over one store in `folder`."""

    folder: Path
    environ: dict[str, str]
    port: int
    api: Process
    worker: Process | None = None

    def start_worker(self) -> Process:
        """Start a worker and wait until it takes jobs."""
        self.worker = _start("worker", self.environ, self.folder)
        self.wait(lambda stats: stats["workers"].get("workers", 0) > 0)
        return self.worker

    def stats(self) -> dict[str, dict[str, int]]:
        """What GET /stats says."""
        with urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=10) as answer:
            found: dict[str, dict[str, int]] = json.load(answer)
            return found

    def wait(self, done: object, seconds: float = 120.0) -> float:
        """Poll the statistics until `done(stats)`; the monotonic time of that answer."""
        assert callable(done)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if done(self.stats()):
                return time.monotonic()
            time.sleep(0.005)
        raise TimeoutError(f"not reached within {seconds} s: {self.stats()}")


@contextmanager
def deployed(
    folder: Path, *, worker: bool = True, config: Mapping[str, str] | None = None
) -> Iterator[Deployment]:
    """An api, and a worker unless told otherwise, until the context is left."""
    port, control = free_port(), free_port()
    environ = {
        **os.environ,
        "HERMES_STORE__URL": f"sqlite:///{folder}/hermes.db",
        "HERMES_API__PORT": str(port),
        "HERMES_API__MAX_WAITING_JOBS": "5000000",
        "HERMES_CONTROL__PORT": str(control),
        "HERMES_CONTROL__ENDPOINTS": f'["127.0.0.1:{control}"]',
        "HERMES_WORKER__PORT": "0",
        "HERMES_PLUGINS__DISABLED": '["email", "http", "resize-image"]',
        **(config or {}),
    }
    deployment = Deployment(folder, environ, port, _start("api", environ, folder))
    try:
        if worker:
            deployment.start_worker()
        yield deployment
    finally:
        for process in (deployment.worker, deployment.api):
            if process is not None:
                process.stop()


def _start(role: str, environ: Mapping[str, str], folder: Path) -> Process:
    started = time.monotonic()
    log = (folder / f"{role}.log").open("a")
    popen = subprocess.Popen(
        [sys.executable, str(APP), role], env=dict(environ), stderr=subprocess.PIPE, text=True
    )
    assert popen.stderr is not None
    for line in popen.stderr:
        log.write(line)
        if '"event": "ready"' in line:
            ready = time.monotonic() - started
            _drain(popen, log)
            return Process(popen, ready)
        if time.monotonic() - started > START_SECONDS:
            break
    popen.kill()
    raise RuntimeError(f"the {role} did not start, see {log.name}")


def _drain(popen: subprocess.Popen[str], log: object) -> None:
    """Keep reading the log, so that the daemon never waits for us."""
    import threading

    def copy() -> None:
        assert popen.stderr is not None
        for line in popen.stderr:
            log.write(line)  # type: ignore[attr-defined]  # a text file

    threading.Thread(target=copy, daemon=True).start()
