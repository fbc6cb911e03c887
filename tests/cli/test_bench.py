"""`hermesd bench`, against the scripted api: what it sends, repeats, counts and shows."""

from __future__ import annotations

import json
import os
import pty
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

PATIENCE_SECONDS = 150.0
ONE = ("-c", "1", "-t", "noop")


def stats(api: Any, **states: int) -> None:
    """The next answer is these counts."""
    api.json({"jobs": states})


def test_every_job_is_submitted_once_and_reported(run: Any, api: Any) -> None:
    """One a request, with the payload and the priority asked for."""
    stats(api)
    for _ in range(3):
        api.json({}, 202)
    result = run("--json", "bench", *ONE, "-n", "3", "--priority", "high", "--payload", '{"a": 1}')
    report = json.loads(result.stdout)
    assert (result.exit_code, report["accepted_jobs"], report["errors"]) == (0, 3, {})
    assert [request.path for request in api.requests] == ["/stats", *["/jobs"] * 3]
    item = {"type": "noop", "payload": {"a": 1}, "priority": "high"}
    assert [request.json for request in api.requests[1:]] == [item] * 3
    assert 0 < report["latency"]["p50_ms"] <= report["latency"]["max_ms"]
    assert sum(each["requests"] for each in report["timeline"]) == 3


def test_a_batch_holds_so_many_jobs_and_the_last_one_the_rest(run: Any, api: Any) -> None:
    """And each job counts."""
    stats(api)
    api.json({}, 202)
    api.json({}, 202)
    result = run("bench", "batch", *ONE, "-n", "5", "--batch", "3", "--json")
    assert [len(request.json["jobs"]) for request in api.requests[1:]] == [3, 2]
    assert json.loads(result.stdout)["accepted_jobs"] == 5


def test_every_job_of_a_keyed_batch_has_a_key_of_its_own(run: Any, api: Any) -> None:
    """Or two of them would be one job."""
    stats(api)
    api.json({}, 202)
    run("bench", "batch", *ONE, "-n", "4", "--keys", "--json")
    keys = {item["idempotency_key"] for item in api.requests[1].json["jobs"]}
    assert len(keys) == 4


def test_a_refusal_that_may_pass_is_repeated_and_counted(run: Any, api: Any) -> None:
    """With 429 and 503 nothing was stored, so that no key is needed."""
    stats(api)
    api.problem(429, "queue-full", retry_after="0")
    api.problem(503, "store-unavailable", retry_after="0")
    api.json({}, 202)
    result = run("bench", *ONE, "-n", "1", "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["accepted_jobs"], report["errors"]) == (0, 1, {})
    assert report["retries"] == {"429 queue-full": 1, "503 store-unavailable": 1}


def test_the_retry_after_of_an_answer_is_obeyed(run: Any, api: Any) -> None:
    """It is longer than the backoff's own first pause."""
    stats(api)
    api.problem(503, "store-unavailable", retry_after="1")
    api.json({}, 202)
    report = json.loads(run("bench", *ONE, "-n", "1", "--json").stdout)
    assert report["latency"]["max_ms"] >= 1000


def test_an_unanswered_submit_is_repeated_only_under_its_key(run: Any, api: Any) -> None:
    """Without one it might become two jobs."""
    stats(api)
    api.cut()
    result = run("bench", *ONE, "-n", "1", "--json")
    assert (result.exit_code, json.loads(result.stdout)["errors"]) == (1, {"no answer": 1})
    stats(api)
    api.cut()
    api.json({}, 200)
    result = run("bench", *ONE, "-n", "1", "--keys", "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["retries"]) == (0, {"no answer": 1})
    sent = [request.headers["idempotency-key"] for request in api.requests[-2:]]
    assert sent[0] == sent[1]


def test_errors_are_told_by_kind(run: Any, api: Any) -> None:
    """In a table, and the exit code is 1."""
    stats(api)
    api.problem(422, "unknown-type")
    api.problem(422, "unknown-type")
    api.text(404, b"what?", content_type="text/plain")
    result = run("bench", *ONE, "-n", "3")
    assert result.exit_code == 1
    assert "422 unknown-type\t2" in result.stdout
    assert "404 not found\t1" in result.stdout


def test_a_repeat_that_goes_on_failing_is_given_up(run: Any, api: Any) -> None:
    """After so many retries."""
    stats(api)
    for _ in range(2):
        api.text(503, b"")
    report = json.loads(run("bench", *ONE, "-n", "1", "--retries", "1", "--json").stdout)
    assert report["errors"] == {"503 service unavailable": 1}
    assert report["refused_jobs"] == 1


def test_it_waits_until_no_more_jobs_are_live_than_before(run: Any, api: Any) -> None:
    """And says what they ended in."""
    stats(api, queued=5, succeeded=10)
    api.json({}, 202)
    stats(api, queued=5, running=1, succeeded=10)
    stats(api, queued=5, succeeded=10, failed=1)
    result = run("bench", *ONE, "-n", "1", "--wait", "--json")
    assert json.loads(result.stdout)["recorded"]["states"] == {"failed": 1}
    assert result.exit_code == 0


def test_jobs_that_do_not_end_in_time_exit_with_75(run: Any, api: Any) -> None:
    """The report is printed all the same."""
    stats(api)
    api.json({}, 202)
    result = run("bench", *ONE, "-n", "1", "--wait=0")
    assert result.exit_code == 75
    assert "accepted\t1 jobs" in result.stdout


def test_the_plot_is_an_svg_with_axes_and_a_line_a_percentile(
    run: Any, api: Any, tmp_path: Path
) -> None:
    """Well-formed XML."""
    stats(api)
    api.json({}, 202)
    assert run("bench", *ONE, "-n", "1", "--svg", str(tmp_path / "plot.svg")).exit_code == 0
    root = ElementTree.parse(tmp_path / "plot.svg").getroot()
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"seconds since the start", "latency in milliseconds (log)", "p99", "max"} <= texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 4


@pytest.mark.parametrize(
    "args",
    [
        ["-t", "noop=many"],
        ["-t", "noop=0"],
        ["-t", "noop", "-n", "0"],
        ["-t", "noop", "-c", "0"],
        ["-t", "noop", "-d", "-1"],
        ["-t", "noop", "--rate", "0"],
        ["-t", "noop", "--payload", "{}", "--payload-bytes", "100"],
        ["burst", "-t", "noop", "--rate", "5"],
        ["batch", "-t", "noop", "--batch", "10000", "--payload-bytes", "1000000"],
        [],
        ["flood", "-t", "noop"],
    ],
)
def test_a_plan_that_makes_no_sense_exits_with_64(run: Any, args: list[str]) -> None:
    """Before anything is sent."""
    assert run("bench", *args).exit_code == 64


def test_an_api_that_is_not_there_exits_with_69(run: Any, unused_port: int) -> None:
    """One clear line."""
    result = run("bench", *ONE, HERMES_URL=f"http://127.0.0.1:{unused_port}")
    assert result.exit_code == 69
    assert result.stderr.startswith("hermesd: nothing listens at 127.0.0.1")


def test_ctrl_c_ends_the_load_with_a_report(command: Any, api: Any) -> None:
    """And exits with 130."""
    stats(api)
    api.json({}, 202)
    api.stream(hold=True)
    terminal, stderr = pty.openpty()
    process = command("bench", *ONE, "-d", "50", stderr=stderr, env={"TERM": "xterm"})
    os.close(stderr)
    shown = ""
    while "1 accepted" not in shown:  # the live line, on a terminal
        shown += os.read(terminal, 65536).decode("utf-8", "replace")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    os.close(terminal)
    assert process.returncode == 130
    assert "accepted\t1 jobs" in out
    assert "abandoned at the end\t1" in out
