"""`hermesd submit --file`: many jobs, none lost and none twice, wherever it stops."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PATIENCE_SECONDS = 150.0


@pytest.fixture
def jobs_file(tmp_path: Path) -> Callable[..., str]:
    """Writes a file with so many jobs, a line each, and returns its path."""

    def jobs_file(count: int, *, extra: str = "") -> str:
        lines = [json.dumps({"type": "email", "payload": {"n": n}}) for n in range(1, count + 1)]
        path = tmp_path / "jobs.jsonl"
        path.write_text("\n".join([*lines, extra]))
        return str(path)

    return jobs_file


def accepted(api: Any, *numbers: int, repeated: int = 0) -> None:
    """The next batch is recorded."""
    jobs = [{"id": f"j{n}", "routed": "queue"} for n in numbers]
    counts = {"count": len(jobs), "queued": len(jobs), "repeated": repeated}
    api.json({**counts, "jobs": jobs}, 202)


def test_every_line_is_submitted_in_order(run: Any, api: Any, jobs_file: Any) -> None:
    """In batches, with a key of its own; a pipe is given the ids."""
    for first in (1, 501, 1001):
        accepted(api, *range(first, min(first + 500, 1201)))
    result = run("submit", "--file", jobs_file(1200, extra="\n  \n"), "--idempotency-key", "k")
    assert result.exit_code == 0
    assert result.stdout.split() == [f"j{n}" for n in range(1, 1201)]
    assert "1200 jobs accepted" in result.stderr
    sent = [job for request in api.requests for job in request.json["jobs"]]
    assert [request.path for request in api.requests] == ["/jobs/batch"] * 3
    assert [job["idempotency_key"] for job in sent] == [f"k:{n}" for n in range(1, 1201)]
    assert [job["payload"]["n"] for job in sent] == list(range(1, 1201))


def test_all_that_a_submit_may_say_may_be_in_a_line(run: Any, api: Any) -> None:
    """Stdin is a file too, and a key that is given stands."""
    line = {
        "type": "email",
        "payload": None,
        "queue": "q",
        "priority": "high",
        "max_attempts": 2,
        "timeout": 1.5,
        "labels": {"a": "b"},
        "run_at": "2030-01-01T00:00:00Z",
        "idempotency_key": "own",
    }
    accepted(api, 1)
    result = run("submit", "--file", "-", "--json", stdin=json.dumps(line))
    told = json.loads(result.stdout)
    assert (result.exit_code, told["jobs"], told["last_line"]) == (0, 1, 1)
    assert api.requests[0].json["jobs"] == [line]


@pytest.mark.parametrize("bad", ["{", "[]", '{"type": "a", "paylod": 1}', '{"payload": 1}'])
def test_a_line_that_is_no_job_is_told(run: Any, api: Any, jobs_file: Any, bad: str) -> None:
    """By its number, with how to go on behind what is recorded."""
    accepted(api, *range(500))
    path = jobs_file(600, extra=bad)
    result = run("submit", "--file", path, "--idempotency-key", "k")
    assert result.exit_code == 65
    assert "hermesd: line 601: " in result.stderr
    going_on = f"500 jobs recorded; to go on: --file {path} --from-line 501 --idempotency-key k"
    assert going_on in result.stderr


def test_it_goes_on_where_it_stopped(run: Any, api: Any, jobs_file: Any) -> None:
    """The keys are by the line in the file, so that a part may be repeated."""
    accepted(api, 501, repeated=1)
    args = ("--from-line", "501", "--idempotency-key", "k")
    result = run("submit", "--file", jobs_file(501), *args, "--json")
    told = json.loads(result.stdout)
    assert (told["jobs"], told["repeated"], told["last_line"], told["key"]) == (1, 1, 501, "k")
    (sent,) = api.requests[0].json["jobs"]
    assert (sent["idempotency_key"], sent["payload"]) == ("k:501", {"n": 501})


def test_jobs_that_are_refused_are_told_by_their_lines(run: Any, api: Any, jobs_file: Any) -> None:
    """None of their batch is recorded; what was before is."""
    accepted(api, *range(500))
    errors = [{"index": 2, "detail": "no such type"}, {"index": 9, "detail": "no such queue"}]
    api.problem(422, "invalid-batch", "2 of 20 jobs are at fault", errors=errors)
    result = run("submit", "--file", jobs_file(520), "--json")
    told = json.loads(result.stderr)["error"]
    assert (result.exit_code, told["recorded"], told["last_line"]) == (1, 500, 500)
    assert told["detail"].startswith("line 503: no such type; line 510: no such queue; ")


def test_a_batch_that_is_too_large_is_parted(run: Any, api: Any, jobs_file: Any) -> None:
    """For an api that takes fewer jobs at a time."""
    api.problem(413, "too-large", "at most 2 are allowed")
    accepted(api, 1, 2)
    api.problem(413, "too-large", "at most 1 is allowed")
    accepted(api, 3)
    accepted(api, 4)
    result = run("submit", "--file", jobs_file(4))
    assert (result.exit_code, result.stdout.split()) == (0, ["j1", "j2", "j3", "j4"])
    assert [len(request.json["jobs"]) for request in api.requests] == [4, 2, 2, 1, 1]


def test_a_full_queue_is_waited_for(run: Any, api: Any, jobs_file: Any) -> None:
    """For as long as told; then what is left can be submitted later."""
    for _ in range(6):  # more than the client's own tries
        api.problem(429, "queue-full", "10000 jobs wait", retry_after="0")
    accepted(api, 1)
    assert run("submit", "--file", jobs_file(1)).exit_code == 0
    for _ in range(4):
        api.problem(429, "queue-full", "10000 jobs wait", retry_after="0")
    result = run("submit", "--file", jobs_file(1), "--patience", "0")
    assert result.exit_code == 75
    assert "0 jobs recorded; to go on: " in result.stderr


def test_the_lines_say_it_all(run: Any, jobs_file: Any) -> None:
    """What is of a single job is refused, before anything is sent."""
    for args in (("email",), ("--queue", "q"), ("--label", "a=b"), ("--wait",)):
        assert run("submit", "--file", jobs_file(1), *args).exit_code == 64
    assert run("submit", "--file", "/no/such/file").exit_code == 66


def test_a_terminal_is_shown_how_far_it_is(command: Any, api: Any, jobs_file: Any) -> None:
    """And nothing of it goes into a pipe."""
    accepted(api, 1)
    ours, theirs = pty.openpty()
    process = command(
        "submit", "--file", jobs_file(1), stderr=theirs, env={"TERM": "xterm", "COLUMNS": "80"}
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # Linux ends a terminal that nobody holds any more like this
        pass
    finally:
        os.close(ours)
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (0, "j1\n")
    assert b"0 jobs" in shown
    assert b"1 job accepted" in shown


def test_a_whole_file_twice_is_recorded_once(
    run: Any, serving: dict[str, Any], tmp_path: Path
) -> None:
    """By a real api, which the same key tells that it knows them."""
    job = {"type": "http", "payload": {"url": "http://127.0.0.1:9/"}, "delay": 86_400}
    lines = [json.dumps({**job, "labels": {"n": str(n)}}) for n in range(700)]
    (tmp_path / "jobs.jsonl").write_text("\n".join(lines))
    args = ("submit", "--file", str(tmp_path / "jobs.jsonl"), "--idempotency-key", "k", "--json")
    url = f"http://{serving['api']}"
    first, again = (json.loads(run(*args, HERMES_URL=url).stdout) for _ in range(2))
    assert (first["jobs"], first["repeated"]) == (700, 0)
    assert (again["jobs"], again["repeated"]) == (700, 700)
    listed = json.loads(run("jobs", "list", "-n", "1000", "--json", HERMES_URL=url).stdout)
    assert sorted(int(job["labels"]["n"]) for job in listed["jobs"]) == list(range(700))
