"""A job's trace goes with it from its client to its handler, over all that is between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traces.collector import Collector, Span
from traces.fleet import CALLER, PARENT, STATE, TRACE, Fleet, open_fleet

from hermesd.core.states import State


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Nothing runs yet."""
    with open_fleet(tmp_path) as opened:
        yield opened


def test_without_tracing_the_headers_go_along_and_nothing_is_imported(fleet: Fleet) -> None:
    """To a handler of any kind."""
    fleet.start("both")
    for job_type in ("task", "thread", "process"):
        job = fleet.run(job_type)
        assert job.result == {"loaded": False, "parent": PARENT, "state": STATE}
    fleet.stop()
    lines = [json.loads(line) for line in fleet.log.read_text().splitlines()]
    assert {line.get("trace_id") for line in lines if "job_id" in line} == {TRACE}


def test_a_program_that_traces_has_the_spans_of_its_daemon(fleet: Fleet, tmp_path: Path) -> None:
    """In its own provider, with what the handlers trace under them."""
    file = tmp_path / "spans"
    fleet.start("both", str(file), HERMES_TRACING__ENABLED="true")
    jobs = {name: fleet.run(name) for name in ("task", "thread", "process", "flaky", "doomed")}
    assert [job.state for job in jobs.values()] == [State.SUCCEEDED] * 4 + [State.FAILED]
    fleet.stop()
    text = file.read_text()
    assert "ERROR-MARK" not in text
    spans = [json.loads(line) for line in text.splitlines()]
    assert {span["context"]["trace_id"] for span in spans} == {f"0x{TRACE}"}
    by_id = {span["context"]["span_id"]: span for span in spans}

    def of(job_id: str, name: str) -> list[dict[str, Any]]:
        return [
            span
            for span in spans
            if span["name"] == name and span["attributes"].get("messaging.message.id") == job_id
        ]

    for name, job in jobs.items():
        *_, processed = of(job.id, "process default")
        request = by_id[processed["parent_id"]]
        assert (request["name"], request["parent_id"]) == ("POST /jobs", f"0x{CALLER}")
        assert {span["parent_id"] for span in of(job.id, "send default")} == {
            request["context"]["span_id"]
        }
        if name != "doomed":
            own = processed["context"]["span_id"].removeprefix("0x")
            assert job.result["parent"] == f"00-{TRACE}-{own}-01"
            assert (job.result["span"], job.result["state"]) == (own, STATE)
    for name in ("task", "thread"):  # a child process has no provider of the program's
        (within,) = [span for span in spans if span["name"] == f"within {name}"]
        assert by_id[within["parent_id"]]["attributes"]["messaging.message.id"] == jobs[name].id
    first, second = of(jobs["flaky"].id, "process default")
    assert (first["status"]["status_code"], second["status"]["status_code"]) == ("ERROR", "UNSET")
    assert (len(first["links"]), len(second["links"])) == (0, 1)
    assert len(of(jobs["flaky"].id, "send default")) == 2


def test_api_worker_and_child_export_the_spans_of_one_trace(fleet: Fleet) -> None:
    """By OTLP, as the standard variables say, and what is left when they end."""
    with Collector.open() as collector:
        settings = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        fleet.start("api", **settings)
        fleet.start("worker", OTEL_SERVICE_NAME="the worker", **settings)
        job = fleet.run("process")
        names = {"POST /jobs", "send default", "process default", "within process"}
        spans = collector.until(lambda found: {span.name for span in found} >= names)
        found: dict[str, Span] = {span.name: span for span in spans if span.trace == TRACE}
        fleet.submit("task")
        fleet.stop()
        collector.until(lambda spans: sum(span.name == "POST /jobs" for span in spans) == 2)
    request, attempt = found["POST /jobs"], found["process default"]
    assert (request.parent, request.service, request.kind) == (CALLER, "hermesd", "server")
    assert (attempt.parent, attempt.service) == (request.id, "the worker")
    assert (found["send default"].parent, found["send default"].kind) == (request.id, "producer")
    assert found["within process"].parent == attempt.id
    assert job.result["parent"] == f"00-{TRACE}-{attempt.id}-01"


def test_a_collector_that_is_away_costs_no_job(fleet: Fleet) -> None:
    """And the daemon ends in time."""
    fleet.start(
        "both", OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9"
    )
    assert fleet.run("task").state is State.SUCCEEDED
    fleet.stop()
