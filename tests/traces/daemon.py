"""A daemon that traces: `python daemon.py ROLE [FILE]`.

With FILE it is a program with a tracer provider of its own, which keeps the spans in memory and
writes them to the file, one as JSON a line, when it ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hermesd.config import load
from hermesd.core.backoff import Backoff, BackoffKind
from hermesd.daemon import life
from hermesd.handlers import JobContext, Permanent, job

SOON = Backoff(kind=BackoffKind.FIXED, seconds=0.05, jitter=0.0)


def told(ctx: JobContext) -> dict[str, object]:
    """What the handler knows of its trace, and whether the daemon has imported what traces."""
    loaded = "hermesd.observe.otel" in sys.modules
    if not loaded:
        return {"loaded": False, "parent": ctx.traceparent, "state": ctx.tracestate}
    from opentelemetry import trace

    with trace.get_tracer("handler").start_as_current_span(f"within {ctx.type}"):
        pass
    current = trace.get_current_span().get_span_context()
    return {
        "loaded": True,
        "parent": ctx.traceparent,
        "state": ctx.tracestate,
        "span": f"{current.span_id:016x}",
    }


@job("task")
async def task(payload: dict[str, str], ctx: JobContext) -> dict[str, object]:
    """In the event loop."""
    return told(ctx)


@job("thread")
def thread(payload: dict[str, str], ctx: JobContext) -> dict[str, object]:
    """In a thread."""
    return told(ctx)


@job("process", kind="process")
def process(payload: dict[str, str], ctx: JobContext) -> dict[str, object]:
    """In a child process."""
    return told(ctx)


@job("flaky", backoff=SOON)
async def flaky(payload: dict[str, str], ctx: JobContext) -> dict[str, object]:
    """Fails the first time."""
    if ctx.attempt == 1:
        raise ValueError("ERROR-MARK")
    return told(ctx)


@job("doomed")
async def doomed(payload: dict[str, str]) -> None:
    """Fails for good."""
    raise Permanent("ERROR-MARK")


def serve(role: str) -> int:
    """Run the daemon."""
    config = load([], os.environ, default_path=Path("/nonexistent"))
    return life.run(config, role, extra=[task, thread, process, flaky, doomed])


def serve_and_keep(role: str, file: Path) -> int:
    """The same, as part of a program that traces by itself."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    status = serve(role)
    lines = [span.to_json(indent=None) + "\n" for span in spans.get_finished_spans()]
    file.write_text("".join(lines), encoding="utf-8")
    return status


if __name__ == "__main__":
    role, *files = sys.argv[1:]
    sys.exit(serve_and_keep(role, Path(files[0])) if files else serve(role))
