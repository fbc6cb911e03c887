"""Figure 6: what the HTTP server and the store can do alone, on this machine, in this run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tests.bench import store_floor, uvicorn_floor, wrk
from tests.bench.load import generate
from tests.bench.process import ROOT
from tests.bench.setting import Setting
from tests.bench.waiting import until_listening
from tests.processes.ports import free_port

HTTP: Final = "HTTP floor"
STORE_SINGLES: Final = "store floor, 1 a call"
STORE_BATCHES: Final = "store floor, 500 a call"
REQUESTS: Final = 40_000
CONNECTIONS: Final = 32
STORE_SECONDS: Final = 3.0


def measure(setting: Setting, *, uvicorn: bool) -> None:
    """The store first, then each HTTP server, by our generator and by wrk where it is installed."""
    board = setting.board
    board.head("6", "the floors: what the parts can do alone")
    board.note(
        "HTTP: a trivial ASGI app in one process, by our generator; store: insert and outcome"
    )
    if setting.databases is None:
        _measure_store(setting)
    else:
        board.note("the floors of the store are of SQLite alone: left out")
    with _serving([sys.executable, "-m", "tests.bench.http_floor"]) as port:
        _put_http(setting, port, HTTP, "the same by wrk")
    if uvicorn:
        _measure_uvicorn(setting)


def _measure_store(setting: Setting) -> None:
    board = setting.board
    stores = [store_floor.measured(STORE_SECONDS) for _ in range(setting.rounds)]
    board.put("store, one change alone", [store.alone_us for store in stores], "µs")
    board.put(STORE_SINGLES, [store.singles for store in stores], "jobs/s")
    board.put(STORE_BATCHES, [store.batches for store in stores], "jobs/s")


def _measure_uvicorn(setting: Setting) -> None:
    """The same app under uvicorn, installed into an environment that is thrown away."""
    command = uvicorn_floor.installed(setting.place("uvicorn"))
    if command is None:
        setting.board.note("uvicorn: left out, it could not be installed")
        return
    with _serving(command) as port:
        _put_http(
            setting,
            port,
            "uvicorn (httptools, uvloop)",
            "uvicorn by wrk",
        )


@contextmanager
def _serving(command: Sequence[str]) -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([*command, str(port)], cwd=ROOT)
    try:
        until_listening(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _put_http(setting: Setting, port: int, name: str, wrk_name: str) -> None:
    requests, rates = setting.jobs(REQUESTS), []
    for _ in range(setting.rounds):
        result = generate(port, requests, "--connections", str(CONNECTIONS))
        rates.append(requests / result["seconds"])
    setting.board.put(name, rates, "requests/s")
    if not wrk.installed():
        setting.board.note(wrk.MISSING)
        return
    by_wrk = [wrk.run(port, CONNECTIONS).rate for _ in range(setting.rounds)]
    setting.board.put(wrk_name, by_wrk, "requests/s")
