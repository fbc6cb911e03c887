"""One peer: installed, started, loaded, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.peers.peer import Peer
from tests.bench.peers.servers import found, server
from tests.bench.process import ROOT
from tests.bench.venvs import install, python_with
from tests.bench.waiting import until

POLL_SECONDS: Final = 0.005
ROUND_SECONDS: Final = 600.0
WARM_JOBS: Final = 200
SUBMITTERS: Final = (1, 32, 128)


@dataclass(frozen=True)
class Installed:
    """How a peer's program is run, and in which environment."""

    program: list[str]
    worker: list[str]
    environ: dict[str, str]


@dataclass
class Found:
    """Jobs a second of each round: `singles` by the number of submitters, until all were run."""

    singles: dict[int, list[float]] = field(default_factory=dict)
    bulk_accepted: list[float] = field(default_factory=list)
    bulk_run: list[float] = field(default_factory=list)


def installed(peer: Peer, folder: Path) -> Installed:
    """Its packages, in a folder of their own; NotInstallable."""
    environ = {**os.environ, "BENCH_DONE": str(folder / "done"), "PYTHONDONTWRITEBYTECODE": "1"}
    if peer.module.endswith(".cjs"):
        npm, node = found("npm"), found("node")
        install([npm, "install", "--silent", "--no-audit", "--no-fund", *peer.packages], folder)
        environ["NODE_PATH"] = str(folder / "node_modules")
        program = [node, str(Path(__file__).with_name(peer.module))]
    else:
        python = python_with(folder / "venv", peer.packages)
        program = [python, "-m", peer.module]
    worker = [program[0], *peer.worker] if peer.worker else [*program, "worker"]
    return Installed(program, worker, environ)


def measured(peer: Peer, how: Installed, folder: Path, *, jobs: int, rounds: int) -> Found:
    """Each way `rounds` times; NotInstallable where its server is not there."""
    place = folder / "server"
    place.mkdir()
    result = Found()
    with server(peer.server, place) as url:
        how.environ["BENCH_URL"] = url
        with _working(how, folder) as done:
            for submitters in SUBMITTERS:
                result.singles[submitters] = [
                    jobs / _run(how, done, jobs, "single", str(jobs), str(submitters))[1]
                    for _ in range(rounds)
                ]
            for _ in range(rounds):
                submit_seconds, run_seconds = _run(how, done, jobs, "bulk", str(jobs))
                result.bulk_accepted.append(jobs / submit_seconds)
                result.bulk_run.append(jobs / run_seconds)
    return result


def drained(
    peer: Peer, how: Installed, folder: Path, *, jobs: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Submitted in bulk while no worker runs, then run by one that starts: jobs a second of each.

    The second rate counts from its worker's start, and that of its interpreter is in it.
    """
    place = folder / "server"
    place.mkdir()
    accepted, run = [], []
    with server(peer.server, place) as url:
        how.environ["BENCH_URL"] = url
        with _working(how, folder):
            pass  # it has made its queues
        for _ in range(rounds):
            accepted.append(jobs / _told(how, "bulk", str(jobs))["seconds"])
            before, began = Done(folder / "done").count, time.monotonic()
            with _started(how, folder) as (done, worker):
                run.append(jobs / (done.until(before + jobs, worker) - began))
    return accepted, run


class Done:
    """The file with a byte for every handler that has run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    @property
    def count(self) -> int:
        """How many so far."""
        return self._path.stat().st_size

    def until(self, count: int, worker: subprocess.Popen[bytes] | None = None) -> float:
        """The monotonic time at which there were so many."""
        deadline = time.monotonic() + ROUND_SECONDS
        while self.count < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.count} of {count} jobs were run in {ROUND_SECONDS:g} s")
            if worker is not None and worker.poll() is not None:
                raise RuntimeError(f"its worker ended with {worker.returncode}")
            time.sleep(POLL_SECONDS)
        return time.monotonic()


@contextmanager
def _working(how: Installed, folder: Path) -> Iterator[Done]:
    """Its worker, once it has run its first jobs."""
    with _started(how, folder) as (done, worker):
        _warm_up(how, done, worker)
        yield done


@contextmanager
def _started(how: Installed, folder: Path) -> Iterator[tuple[Done, subprocess.Popen[bytes]]]:
    """Its worker's process."""
    done = Done(folder / "done")
    with (folder / "worker.log").open("w") as log:
        # A session of its own, since some have children that outlive their parent.
        worker = subprocess.Popen(
            how.worker, cwd=ROOT, env=how.environ, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield done, worker
        finally:
            _end(worker)


def _warm_up(how: Installed, done: Done, worker: subprocess.Popen[bytes]) -> None:
    """Some make their tables and queues when their worker starts: until then a submit fails."""
    command = [*how.program, "single", str(WARM_JOBS), "1"]

    def accepted() -> bool:
        if worker.poll() is not None:
            raise RuntimeError(f"its worker ended with {worker.returncode}")
        told = subprocess.run(command, cwd=ROOT, env=how.environ, capture_output=True)
        return told.returncode == 0

    until(accepted, "a first submit")
    done.until(WARM_JOBS, worker)


def _run(how: Installed, done: Done, jobs: int, *arguments: str) -> tuple[float, float]:
    """Seconds from the first submit until the last was accepted, and until the last was run."""
    before = done.count
    result = _told(how, *arguments)
    ended = done.until(before + jobs)
    return result["seconds"], ended - result["began"]


def _told(how: Installed, *arguments: str) -> dict[str, float]:
    """What its submitter prints; RuntimeError where it fails."""
    told = subprocess.run(
        [*how.program, *arguments],
        cwd=ROOT,
        env=how.environ,
        capture_output=True,
        text=True,
        timeout=ROUND_SECONDS,
    )
    if told.returncode != 0:
        raise RuntimeError(f"its submitter failed: {told.stderr.strip()[-400:]}")
    result: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return result


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        worker.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
