"""`hermesd jobs tail`: what happens to the jobs that are meant, as it happens."""

from __future__ import annotations

import json
import signal
from typing import Any

PATIENCE_SECONDS = 150.0


def message(number: int, kind: str, job_id: str | None, job_type: str = "email") -> bytes:
    """An event of the stream."""
    told = {"time": "2026-11-21T21:48:54Z", "kind": kind, "message": f"m{number}"}
    of_job = {"job_id": job_id, "job_type": job_type} if job_id else {}
    return f"id: {number}\ndata: {json.dumps({**told, **of_job})}\n\n".encode()


def lines(command: Any, count: int, *args: str) -> list[str]:
    """The first lines that it shows; then Ctrl-C ends it."""
    process = command("jobs", "tail", *args)
    try:
        shown = [process.stdout.readline() for _ in range(count)]
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, rest, err) == (130, "", "")
    return shown


def test_what_happens_to_jobs_is_shown(command: Any, api: Any) -> None:
    """A line each; what happens to workers is not."""
    api.stream(
        message(1, "submitted", "j1"),
        message(2, "evicted", None),
        message(3, "of-a-newer-api", "j2"),
        hold=True,
    )
    first, second = (line.rstrip("\n").split("\t") for line in lines(command, 2))
    assert first[1:] == ["submitted", "j1", "email", "", "m1"]
    assert second[1:3] == ["of-a-newer-api", "j2"]


def test_types_and_states_are_chosen(command: Any, api: Any) -> None:
    """By what a job has become with the event; as JSON it is a line too."""
    api.stream(
        message(1, "failed", "j1", "report"),
        message(2, "succeeded", "j2"),
        message(3, "of-a-newer-api", "j3"),
        message(4, "quarantined", "j4"),
        message(5, "retry", "j5"),
        hold=True,
    )
    states = ("--state", "failed", "--state", "scheduled")
    shown = lines(command, 2, "--type", "email", *states, "--json")
    assert [json.loads(line)["job_id"] for line in shown] == ["j4", "j5"]


def test_queues_are_chosen(command: Any, api: Any, job: Any) -> None:
    """Each job is asked for once; one that is gone is in no queue."""
    api.stream(
        message(1, "submitted", "j1"),
        message(2, "submitted", "j2"),
        message(3, "submitted", "j3"),
        message(4, "started", "j3"),
        hold=True,
    )
    api.json({"job": job("j1", queue="other")})
    api.problem(404, "not-found", "no such job")
    api.json({"job": job("j3", queue="mine")})
    shown = lines(command, 2, "--queue", "mine", "--json")
    assert [json.loads(line)["kind"] for line in shown] == ["submitted", "started"]
    assert [request.path for request in api.requests[1:]] == ["/jobs/j1", "/jobs/j2", "/jobs/j3"]


def test_events_that_were_missed_are_told(command: Any, api: Any) -> None:
    """Others came between two that are there."""
    api.stream(message(1, "submitted", "j1"), message(5, "failed", "j1"), hold=True)
    process = command("jobs", "tail")
    assert "submitted" in process.stdout.readline()
    assert process.stderr.readline() == "(some events were missed)\n"
    assert "failed" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
