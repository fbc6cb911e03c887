"""The same load by wrk(1), where it is installed: it costs the machine much less than ours.

https://github.com/wg/wrk. It runs for a time, not for a number of requests.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.deployment import Deployment
from tests.bench.generator import requests_of
from tests.bench.load import Round

SECONDS: Final = 4
PAYLOAD_BYTES: Final = 100
MISSING: Final = "wrk is not installed: only our generator was used"

_RATE: Final = re.compile(r"Requests/sec:\s+([\d.]+)")
_COUNT: Final = re.compile(r"(\d+) requests in ")
_PERCENTILE: Final = r"\s{0}%\s+([\d.]+)(us|ms|s)\n"
_MS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Told:
    """What one run has counted: answered requests, them a second, latencies in milliseconds."""

    requests: int
    rate: float
    p50_ms: float
    p99_ms: float


def installed() -> bool:
    """Whether it can be run."""
    return shutil.which("wrk") is not None


def run(port: int, connections: int, *, script: Path | None = None) -> Told:
    """GET / for some seconds, or what the script says; RuntimeError unless all succeed."""
    options = [f"-c{connections}", f"-d{SECONDS}s"] + (["-s", str(script)] if script else [])
    ended = subprocess.run(
        ["wrk", "-t1", "--latency", *options, f"http://127.0.0.1:{port}/"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return parsed(ended.stdout)


def parsed(text: str) -> Told:
    """What it has printed; RuntimeError where not all went well."""
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"not every request was answered with a 2xx: {text}")
    return Told(
        requests=int(_found(_COUNT, text)[1]),
        rate=float(_found(_RATE, text)[1]),
        p50_ms=_percentile(50, text),
        p99_ms=_percentile(99, text),
    )


def submitted(running: Deployment, connections: int) -> Round:
    """Submit no-op jobs one a request, and wait until all are recorded: see `load.submitted`."""
    # What was under way at the end of the last round would count as of this one.
    running.wait(lambda stats: not any(map(stats["jobs"].get, ("running", "queued"))))
    before = running.succeeded()
    script = running.folder / "submit.lua"
    script.write_text(_submit())
    began = time.monotonic()
    told = run(running.port, connections, script=script)
    # Those under way when it stops are not counted, but run as well.
    ended = running.until_succeeded(before + told.requests)
    return Round(told.rate, told.requests / (ended - began), told.p50_ms, told.p99_ms)


def _submit() -> str:
    """The generator's request, as wrk wants to be told of it."""
    body = requests_of("noop", PAYLOAD_BYTES, 0)().partition(b"\r\n\r\n")[2].decode()
    return (
        'wrk.method = "POST"\nwrk.path = "/jobs"\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = [=[{body}]=]\n"
    )


def _found(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    match = pattern.search(text)
    if match is None:
        raise RuntimeError(f"wrk said nothing of {pattern.pattern}: {text}")
    return match


def _percentile(share: int, text: str) -> float:
    match = _found(re.compile(_PERCENTILE.format(share)), text)
    return float(match[1]) * _MS[match[2]]
