"""Traces by OpenTelemetry, which must be installed to import this (`hermesd[otel]`).

    POST /jobs (server) ─┬─ send QUEUE (producer): from the submit, or from its place in the queue,
                         │                         until a worker has it; one for each attempt
                         └─ process QUEUE (consumer): its handler; a later attempt has a link, too

Names and attributes are those of the semantic conventions for messaging; attributes of our own are
hermesd.*. No payload, result or error message is among them. A program that has set a tracer
provider before keeps it; else one is made that exports as the OTEL_* variables say.
"""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from hermesd.core.errors import ConfigError
from hermesd.core.job import Job
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.trace import InChild, context_text, parts_of
from hermesd.observe.tracing import EXPORTER, Attempt, Request

SERVICE: Final = "hermesd"
GROUP: Final = "opentelemetry_traces_exporter"
CLOSE_SECONDS: Final = 2.0
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_FAULTS: Final = (OutcomeKind.FAILED, OutcomeKind.PERMANENT, OutcomeKind.CRASHED)
_NS: Final = 1_000_000_000


class Otel:
    """Implements tracing.Tracing; `own`: the provider is not the program's but from here."""

    def __init__(self, provider: trace.TracerProvider, *, own: bool, version: str) -> None:
        self.in_child = InChild.EXPORTED if own else InChild.CONTINUED
        self._own = own
        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE, version)

    @contextmanager
    def request(self, route: str, context: str | None) -> Iterator[Request]:
        """See tracing.Tracing."""
        method, _, path = route.partition(" ")
        about = {"http.request.method": method, "http.route": path}
        with self._span(route, _remote(context), SpanKind.SERVER, about) as span:
            yield _Request(span)

    def sent(self, job: Job, since: float, until: float) -> None:
        """See tracing.Tracing; of a job without a trace there is no such span."""
        if job.trace_context is None:
            return
        about = _about(job, "send") | {"hermesd.rung": str(job.rung or "")}
        if job.worker_id:
            about["hermesd.worker.id"] = job.worker_id
        span = self._tracer.start_span(
            f"send {job.queue}",
            _remote(job.trace_context),
            SpanKind.PRODUCER,
            about,
            start_time=int(min(since, until) * _NS),
        )
        span.end(int(until * _NS))

    @contextmanager
    def attempt(self, job: Job) -> Iterator[Attempt]:
        """See tracing.Tracing; the span is current in the block, for what the handler traces."""
        parent = _remote(job.trace_context)
        about = _about(job, "process")
        if job.worker_id:
            about["hermesd.worker.id"] = job.worker_id
        again = job.attempts > 1 or job.run > 1
        origin = trace.get_current_span(parent).get_span_context()
        links = [Link(origin, {"hermesd.link": "submit"})] if again and origin.is_valid else []
        name = f"process {job.queue}"
        with self._span(name, parent, SpanKind.CONSUMER, about, links) as span:
            yield _Attempt(span)

    def close(self) -> None:
        """See tracing.Tracing; the provider of another is left alone."""
        if not self._own or not isinstance(self._provider, TracerProvider):
            return
        # The library's own limit is 30 s, by which a daemon that ends would be killed.
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)

    @contextmanager
    def _span(
        self,
        name: str,
        parent: Context,
        kind: SpanKind,
        about: Mapping[str, Any],
        links: list[Link] | None = None,
    ) -> Iterator[Span]:
        span = self._tracer.start_span(name, parent, kind, about, links)
        with trace.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            yield span


class _Request:
    """Implements tracing.Request."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.context = _context_of(span)

    def answered(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(Status(StatusCode.ERROR))


class _Attempt:
    """Implements tracing.Attempt."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.context = _context_of(span)

    def ended(self, outcome: Outcome) -> None:
        self._span.set_attribute("hermesd.outcome", str(outcome.kind))
        if outcome.kind in _FAULTS:
            fault = outcome.error.kind if outcome.error is not None else str(outcome.kind)
            self._span.set_attribute("error.type", fault)
            self._span.set_status(Status(StatusCode.ERROR, fault))


def open_otel(environ: Mapping[str, str], version: str) -> Otel:
    """With the provider that is set, else with one that is set from here on."""
    found = trace.get_tracer_provider()
    if not isinstance(found, trace.ProxyTracerProvider):
        return Otel(found, own=False, version=version)
    provider = _provider(environ, version)
    trace.set_tracer_provider(provider)
    return Otel(provider, own=True, version=version)


@contextmanager
def continued(
    context: str | None, how: InChild, environ: Mapping[str, str], version: str
) -> Iterator[None]:
    """In a child process: what is traced in this block belongs to the attempt of that context."""
    if how is InChild.EXPORTED:
        open_otel(environ, version)
    token = contexts.attach(_remote(context))
    try:
        yield
    finally:
        contexts.detach(token)


def _provider(environ: Mapping[str, str], version: str) -> TracerProvider:
    about = {SERVICE_VERSION: version}
    said = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not environ.get("OTEL_SERVICE_NAME") and f"{SERVICE_NAME}=" not in said:
        about[SERVICE_NAME] = SERVICE
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter(environ)))
    return provider


def _exporter(environ: Mapping[str, str]) -> SpanExporter:
    """The installed one that the variables name, by default OTLP over HTTP."""
    name = environ.get(EXPORTER, "").strip() or "otlp"
    if name == "otlp":
        asked = next((value for each in _PROTOCOLS if (value := environ.get(each))), "")
        name = "otlp_proto_grpc" if asked == "grpc" else "otlp_proto_http"
    for entry_point in importlib.metadata.entry_points(group=GROUP, name=name):
        try:
            exporter: SpanExporter = entry_point.load()()
        except Exception as error:  # whatever it makes of its own variables
            raise ConfigError([f"{EXPORTER}: {name} cannot be used: {error!r}"]) from error
        return exporter
    known = sorted({each.name for each in importlib.metadata.entry_points(group=GROUP)})
    raise ConfigError(
        [f"{EXPORTER}: no exporter {name!r} is installed; there are {', '.join(known)}"]
    )


def _about(job: Job, operation: str) -> dict[str, Any]:
    return {
        "messaging.system": SERVICE,
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
        "messaging.destination.name": job.queue,
        "messaging.message.id": job.id,
        "messaging.message.body.size": len(job.payload),
        "hermesd.job.type": job.type,
        "hermesd.job.attempt": job.attempts,
        "hermesd.job.run": job.run,
    }


def _remote(context: str | None) -> Context:
    parent, state = parts_of(context)
    if not parent:
        return Context()
    headers = {"traceparent": parent, "tracestate": state}
    return TraceContextTextMapPropagator().extract(headers, Context())


def _context_of(span: Span) -> str | None:
    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers, trace.set_span_in_context(span, Context()))
    return context_text(headers.get("traceparent", ""), headers.get("tracestate", ""))
