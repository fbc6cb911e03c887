"""What is told of a job's trace, and who switches it on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from traces.fleet import CALLER, PARENT, STATE, TRACE

from hermesd.config.sections import TracingSection
from hermesd.core.errors import ConfigError
from hermesd.core.job import ErrorInfo, Job, Rung, Token
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.observe.otel import CLOSE_SECONDS, GROUP, Otel, open_otel
from hermesd.observe.tracing import is_wanted, open_tracing

JOB = Job(
    id="j1",
    type="email.send",
    queue="mail",
    payload=msgspec.Raw(b'{"secret":1}'),
    attempts=1,
    worker_id="w1",
    rung=Rung.PUSH,
    trace_context=f"{PARENT} {STATE}",
)


@pytest.fixture
def kept() -> InMemorySpanExporter:
    """The spans that have ended."""
    return InMemorySpanExporter()


@pytest.fixture
def otel(kept: InMemorySpanExporter) -> Otel:
    """Tracing into `kept`."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return Otel(provider, own=False, version="1")


def outcome(kind: OutcomeKind, error: str = "") -> Outcome:
    """As a worker reports it."""
    told = ErrorInfo(kind=error, message="ERROR-MARK") if error else None
    return Outcome(token=Token("j1", 1), kind=kind, error=told)


def hexadecimal(span: ReadableSpan) -> tuple[str, str]:
    """Its own id and its parent's."""
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    return f"{span.context.span_id:016x}", f"{span.parent.span_id:016x}" if span.parent else ""


def test_a_request_is_a_span_under_its_client_s(otel: Otel, kept: InMemorySpanExporter) -> None:
    """And its jobs belong to it; the vendor's state goes along."""
    with otel.request("POST /jobs", f"{PARENT} {STATE}") as request:
        request.answered(503)
    (span,) = kept.get_finished_spans()
    own, parent = hexadecimal(span)
    assert (span.name, span.kind, parent) == ("POST /jobs", SpanKind.SERVER, CALLER)
    assert request.context == f"00-{TRACE}-{own}-01 {STATE}"
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/jobs",
        "http.response.status_code": 503,
        "error.type": "503",
    }


def test_an_attempt_is_a_span_by_the_conventions_for_messaging(
    otel: Otel, kept: InMemorySpanExporter
) -> None:
    """Nothing of the payload or of an error's message is in it."""
    with otel.attempt(JOB) as attempt:
        attempt.ended(outcome(OutcomeKind.FAILED, "timeout"))
    (span,) = kept.get_finished_spans()
    own, parent = hexadecimal(span)
    assert (span.name, span.kind, parent) == ("process mail", SpanKind.CONSUMER, CALLER)
    assert attempt.context == f"00-{TRACE}-{own}-01 {STATE}"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "timeout")
    assert span.links == ()
    assert dict(span.attributes or {}) == {
        "messaging.system": "hermesd",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": "j1",
        "messaging.message.body.size": len(JOB.payload),
        "hermesd.job.type": "email.send",
        "hermesd.job.attempt": 1,
        "hermesd.job.run": 1,
        "hermesd.worker.id": "w1",
        "hermesd.outcome": "failed",
        "error.type": "timeout",
    }


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (OutcomeKind.SUCCEEDED, StatusCode.UNSET),
        (OutcomeKind.FAILED, StatusCode.ERROR),
        (OutcomeKind.PERMANENT, StatusCode.ERROR),
        (OutcomeKind.CRASHED, StatusCode.ERROR),
        (OutcomeKind.SNOOZED, StatusCode.UNSET),
        (OutcomeKind.CANCELLED, StatusCode.UNSET),
        (OutcomeKind.INTERRUPTED, StatusCode.UNSET),
    ],
)
def test_what_failed_is_a_fault_and_nothing_else(
    otel: Otel, kept: InMemorySpanExporter, kind: OutcomeKind, status: StatusCode
) -> None:
    """A drain or a cancel is none."""
    with otel.attempt(JOB) as attempt:
        attempt.ended(outcome(kind))
    (span,) = kept.get_finished_spans()
    assert span.status.status_code is status


def test_what_is_torn_down_ends_its_span(otel: Otel, kept: InMemorySpanExporter) -> None:
    """Without a word on its outcome, and without the exception's text."""
    with pytest.raises(RuntimeError), otel.attempt(JOB):
        raise RuntimeError("ERROR-MARK")
    (span,) = kept.get_finished_spans()
    assert "ERROR-MARK" not in span.to_json()


@pytest.mark.parametrize("again", [{"attempts": 2}, {"run": 2}])
def test_a_later_attempt_is_linked_with_the_submit(
    otel: Otel, kept: InMemorySpanExporter, again: dict[str, int]
) -> None:
    """And in the same trace."""
    with otel.attempt(msgspec.structs.replace(JOB, **again)):
        pass
    (span,) = kept.get_finished_spans()
    assert hexadecimal(span)[1] == CALLER
    assert [f"{link.context.span_id:016x}" for link in span.links] == [CALLER]


def test_the_way_to_a_worker_is_a_span(otel: Otel, kept: InMemorySpanExporter) -> None:
    """As long as it took, also where two clocks disagree; a job without a trace has none."""
    otel.sent(JOB, 100.0, 102.5)
    otel.sent(JOB, 100.0, 99.0)
    otel.sent(msgspec.structs.replace(JOB, trace_context=None), 100.0, 101.0)
    took = [(s.start_time, s.end_time) for s in kept.get_finished_spans()]
    assert took == [(100 * 10**9, 102_500_000_000), (99 * 10**9, 99 * 10**9)]
    span = kept.get_finished_spans()[0]
    assert (span.name, span.kind, hexadecimal(span)[1]) == ("send mail", SpanKind.PRODUCER, CALLER)
    assert (span.attributes or {})["hermesd.rung"] == "push"


def test_what_its_client_does_not_sample_is_not_told_and_goes_on_all_the_same(
    otel: Otel, kept: InMemorySpanExporter
) -> None:
    """The decision is the client's, for all that follows."""
    unsampled = PARENT[:-1] + "0"
    with otel.request("POST /jobs", unsampled) as request, otel.attempt(JOB) as attempt:
        pass
    assert request.context is not None
    assert request.context.startswith(f"00-{TRACE}-")
    assert request.context.endswith("-00")
    assert attempt.context is not None
    assert [span.name for span in kept.get_finished_spans()] == ["process mail"]


def test_a_job_without_a_trace_begins_one(otel: Otel, kept: InMemorySpanExporter) -> None:
    """Like that of a schedule."""
    with otel.attempt(msgspec.structs.replace(JOB, trace_context=None, attempts=2)) as attempt:
        pass
    (span,) = kept.get_finished_spans()
    assert span.parent is None
    assert span.links == ()
    assert attempt.context is not None


class Stuck(SpanExporter):
    """A collector that never answers."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.free.wait()
        return SpanExportResult.FAILURE


def test_a_collector_that_hangs_does_not_keep_a_daemon_from_ending() -> None:
    """It is waited for a moment only."""
    stuck, provider = Stuck(), TracerProvider(shutdown_on_exit=False)
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider.add_span_processor(BatchSpanProcessor(stuck))
    otel = Otel(provider, own=True, version="1")
    otel.sent(JOB, 1.0, 2.0)
    closer = threading.Thread(target=otel.close)
    closer.start()
    closer.join(30 * CLOSE_SECONDS)
    assert not closer.is_alive()
    stuck.free.set()


@pytest.mark.parametrize(
    ("enabled", "environ", "wanted"),
    [
        (False, {}, False),
        (True, {}, True),
        (False, {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (True, {"OTEL_TRACES_EXPORTER": "none"}, False),
        (True, {"OTEL_SDK_DISABLED": "true"}, False),
        (False, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
    ],
)
def test_who_switches_it_on(enabled: bool, environ: dict[str, str], wanted: bool) -> None:
    """The configuration or OpenTelemetry's variable, and the latter can forbid it."""
    section = TracingSection(enabled=enabled)
    assert is_wanted(section, environ) is wanted
    if not wanted:
        assert open_tracing(section, environ, "1") is None


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what to do about it."""
    with pytest.raises(ConfigError, match=r"no exporter 'carrier-pigeon' is installed.*console"):
        open_otel({"OTEL_TRACES_EXPORTER": "carrier-pigeon"}, "1")
    with pytest.raises(ConfigError, match="no exporter 'otlp_proto_grpc' is installed"):
        open_otel({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "1")
    distribution = tmp_path / "broken-1.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Name: broken\nVersion: 1\n")
    (distribution / "entry_points.txt").write_text(f"[{GROUP}]\nbroken = nowhere:Exporter\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"broken cannot be used: .*nowhere"):
        open_otel({"OTEL_TRACES_EXPORTER": "broken"}, "1")
    monkeypatch.setitem(sys.modules, "hermesd.observe.otel", None)
    monkeypatch.delattr("hermesd.observe.otel", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'hermesd\[otel\]'"):
        open_tracing(TracingSection(enabled=True), {}, "1")
