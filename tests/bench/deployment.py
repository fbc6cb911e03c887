"""An api and its workers as processes of their own, as they run in production: fsync on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.bench.app import DELAYS
from tests.bench.process import Process
from tests.processes.ports import free_port

APP = "tests.bench.app"
FLEET = "tests.bench.fleet"
POLL_SECONDS = 0.02
MAX_POLL_SECONDS = 0.5  # a look costs the api a millisecond or two, which it has not while it works

Stats = dict[str, Any]


@dataclass
class Deployment:
    """An api and (once started) workers over one store in `folder`."""

    folder: Path
    environ: dict[str, str]
    port: int
    api: Process
    worker: Process | None = None

    def start_worker(self) -> Process:
        """Start a worker and wait until it takes jobs."""
        return self.start_workers(1, APP, "worker")

    def start_fleet(self, count: int) -> Process:
        """Start so many workers in one process, and wait until all of them take jobs."""
        return self.start_workers(count, FLEET, str(count))

    def start_workers(self, count: int, *arguments: str) -> Process:
        """Start that process, and wait until the api knows so many workers."""
        log = self.folder / "worker.log"
        self.worker = Process(arguments, self.environ, log).until_ready()
        self.wait(lambda stats: stats["workers"].get("workers", 0) >= count)
        return self.worker

    def stop_worker(self) -> None:
        """Let the worker process drain."""
        if self.worker is not None:
            self.worker.stop()
            self.worker = None

    def stats(self) -> Stats:
        """What GET /stats says."""
        return self.get("/stats")

    def get(self, path: str) -> Stats:
        """A JSON object of the api."""
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            found: Stats = json.load(answer)
            return found

    def metric(self, name: str) -> float:
        """The value of a metric without labels; 0 while there is none."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            samples = (line.split() for line in answer.read().decode().splitlines())
            return next((float(sample[1]) for sample in samples if sample[0] == name), 0.0)

    def succeeded(self) -> int:
        """How many jobs have succeeded so far."""
        count: int = self.stats()["jobs"].get("succeeded", 0)
        return count

    def until_succeeded(self, count: int, seconds: float = 300.0) -> float:
        """The monotonic time at which so many had succeeded.

        Looks often only when it must be nearly so, by the rate so far.
        """
        began, first = time.monotonic(), self.succeeded()
        done = first
        while done < count:
            elapsed = time.monotonic() - began
            if elapsed > seconds:
                raise TimeoutError(f"{done} of {count} jobs within {seconds} s: {self.stats()}")
            left_seconds = elapsed * (count - done) / (done - first) if done > first else 0.0
            time.sleep(min(max(left_seconds / 2, POLL_SECONDS), MAX_POLL_SECONDS))
            done = self.succeeded()
        return time.monotonic()

    def wait(self, done: Callable[[Stats], bool], seconds: float = 120.0) -> float:
        """Poll the statistics until `done(stats)`; the monotonic time of that answer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if done(self.stats()):
                return time.monotonic()
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"not reached within {seconds} s: {self.stats()}")

    def delays_ms(self) -> list[float]:
        """What the stamping handler has written since the last call, in milliseconds."""
        path = Path(self.environ[DELAYS])
        lines = path.read_text().split()
        os.truncate(path, 0)  # the handler appends, so that it goes on at the new end
        return [int(line) / 1e6 for line in lines]


def environment(folder: Path, port: int, settings: Mapping[str, str]) -> dict[str, str]:
    """The configuration of every process over `folder`; nothing of the caller's own.

    Bytecode is kept from one start to the next, as it is where hermesd is installed.
    """
    others = ("HERMES_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    control = free_port()
    return {
        **kept,
        DELAYS: str(folder / "delays"),
        "HERMES_STORE__URL": f"sqlite:///{folder}/hermes.db",
        "HERMES_API__PORT": str(port),
        "HERMES_API__MAX_WAITING_JOBS": "5000000",
        "HERMES_CONTROL__PORT": str(control),
        "HERMES_CONTROL__ENDPOINTS": f'["127.0.0.1:{control}"]',
        "HERMES_WORKER__PORT": "0",
        # For handlers that do nothing: more rounds of assign, run and report can overlap.
        "HERMES_WORKER__ASYNC_SLOTS": "1024",
        "HERMES_LOG__FORMAT": "json",
        "HERMES_PLUGINS__DISABLED": '["email", "http", "resize-image"]',
        **settings,
    }


@contextmanager
def deployed(
    folder: Path, settings: Mapping[str, str] | None = None, *, worker: bool = True
) -> Iterator[Deployment]:
    """An api, and a worker unless told otherwise, until the context is left.

    `settings` are configuration as environment variables (HERMES_...).
    """
    folder.mkdir(exist_ok=True)
    port = free_port()
    environ = environment(folder, port, settings or {})
    api = Process((APP, "api"), environ, folder / "api.log").until_ready()
    deployment = Deployment(folder, environ, port, api)
    try:
        if worker:
            deployment.start_worker()
        yield deployment
    finally:
        deployment.stop_worker()
        api.stop()
