"""A collector for OTLP over HTTP that keeps what it is sent, for tests.

Source: https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

PATIENCE_SECONDS: Final = 150.0


@dataclass(frozen=True)
class Span:
    """One span, with ids in hexadecimal; `service` says who sent it."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    failed: bool
    attributes: dict[str, Any]


class Collector:
    """Serves at `endpoint`; `spans` are those that have come."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._more = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["content-length"]))
                collector._take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing of it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def until(self, holds: Callable[[list[Span]], bool]) -> list[Span]:
        """All spans, once this holds of them."""
        with self._more:
            assert self._more.wait_for(lambda: holds(self.spans), PATIENCE_SECONDS), self.spans
            return list(self.spans)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Collector]:
        """One that serves until the block ends."""
        collector = cls()
        thread = threading.Thread(target=collector._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            collector._server.shutdown()
            collector._server.server_close()
            thread.join(PATIENCE_SECONDS)

    def _take(self, request: ExportTraceServiceRequest) -> None:
        spans = [
            _span(attributes_of(resource.resource.attributes)["service.name"], span)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._more:
            self.spans += spans
            self._more.notify_all()


def attributes_of(pairs: Any) -> dict[str, Any]:
    """As a dict; only texts and numbers."""
    found: dict[str, Any] = {}
    pair: KeyValue
    for pair in pairs:
        found[pair.key] = getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
    return found


def _span(service: str, span: ProtoSpan) -> Span:
    return Span(
        service=service,
        name=span.name,
        kind=ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        failed=span.status.code == 2,
        attributes=attributes_of(span.attributes),
    )
