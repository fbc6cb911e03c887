"""`hermesd bench` and the suite's own generator against real daemons."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from hermesd.bench import Mode, Plan, Share, measure
from tests.bench.deployment import Deployment, deployed
from tests.bench.load import generate, submitted
from tests.bench.process import ROOT
from tests.bench.waiting import until_listening
from tests.processes.ports import free_port


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Deployment]:
    with deployed(tmp_path) as deployment:
        yield deployment


@pytest.fixture
def trivial() -> Iterator[int]:
    """The port of the trivial app."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.http_floor", str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        until_listening(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def plan(running: Deployment, mode: Mode, jobs: int, **members: bool) -> Plan:
    url = f"http://127.0.0.1:{running.port}"
    types = (Share("noop", 3), Share("noop.thread"))
    return Plan(url=url, types=types, mode=mode, jobs=jobs, wait_seconds=120.0, **members)


def test_a_burst_beyond_the_connections_of_the_api_becomes_each_job_once(tmp_path: Path) -> None:
    """Those that were turned away come again under their keys."""
    with deployed(tmp_path, {"HERMES_HTTP__MAX_CONNECTIONS": "20"}) as running:
        report = trio.run(measure, plan(running, Mode.BURST, 200, keys=True))
    assert (report.accepted_jobs, report.errors) == (200, {})
    assert report.recorded is not None
    assert report.recorded.states == {"succeeded": 200}
    assert report.retries


@pytest.mark.parametrize("mode", [Mode.SINGLE, Mode.BATCH])
def test_what_was_accepted_is_recorded(running: Deployment, mode: Mode) -> None:
    """Over connections that are used again and again."""
    report = trio.run(measure, plan(running, mode, 1234))
    assert (report.accepted_jobs, report.errors, report.refused_jobs) == (1234, {}, 0)
    assert report.recorded is not None
    assert report.recorded.states == {"succeeded": 1234}
    assert 0 < report.latency.p50_ms <= report.latency.p99_ms <= report.latency.max_ms


def test_the_generator_of_the_suite_waits_for_every_answer(trivial: int) -> None:
    """Over several connections; its times are in order."""
    result = generate(trivial, 500, "--connections", "8")
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]
    assert result["seconds"] > 0


def test_the_generator_keeps_to_its_rate(trivial: int) -> None:
    """The last of 41 requests at 100 a second is due after 400 ms."""
    assert generate(trivial, 41, "--rate", "100")["seconds"] >= 0.4


def test_a_round_of_stamped_jobs_tells_when_each_was_started(running: Deployment) -> None:
    """After its submit, by the same clock."""
    found = submitted(running, 200, "--type", "stamp", connections=4)
    delays = running.delays_ms()
    assert len(delays) == 200
    assert min(delays) > 0
    assert found.accepted >= found.recorded > 0
    assert running.delays_ms() == []
