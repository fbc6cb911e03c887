"""One opened job of `hermesd top`, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from hermesd.cli.screen import printable
from hermesd.cli.tables import cut, priority_text, progress_text, raw_text, state_text
from hermesd.client import Event, JobView

MAX_VALUE: Final = 600  # characters of a payload or result; `hermesd jobs show` has all of it


def job_lines(job: JobView, history: Sequence[Event]) -> list[str]:
    """Everything about it: its members, how its attempts went, its error, its payload."""
    return [printable(line) for line in _lines(job, history)]


def _lines(job: JobView, history: Sequence[Event]) -> Iterator[str]:
    labels = ", ".join(f"{name}={value}" for name, value in job.labels.items())
    result = _cut_value(raw_text(job.raw_result)) if job.state.terminal else ""
    for name, value in (
        ("job", job.id),
        ("type", job.type),
        ("state", state_text(job)),
        ("queue", f"{job.queue}, priority {priority_text(job.priority)}"),
        ("attempts", f"{job.attempts} of {job.max_attempts}, run {job.run}"),
        ("worker", job.worker_id or ""),
        ("labels", labels),
        ("created", _when(job.created_at)),
        ("due", _when(job.run_at)),
        ("started", _when(job.started_at)),
        ("finished", _when(job.finished_at)),
        ("progress", progress_text(job)),
        ("payload", _cut_value(raw_text(job.raw_payload))),
        ("result", "" if result == "null" else result),
    ):
        if value:
            yield f"{name:<9} {value}"
    if job.error:
        yield f"{'error':<9} {job.error.kind}: {job.error.message}"
    yield from _history(history)
    if job.error and job.error.traceback:
        yield ""
        yield from job.error.traceback.rstrip().splitlines()


def _history(history: Sequence[Event]) -> Iterator[str]:
    """What happened, oldest first; an attempt as RUN.ATTEMPT."""
    if history:
        yield ""
        yield "history"
    for event in history:
        attempt = f" {event.run}.{event.attempt}" if event.attempt is not None else ""
        told = [_when(event.time), event.kind + attempt, event.worker_id or "", cut(event.message)]
        yield "  " + "  ".join(part for part in told if part)


def _cut_value(text: str) -> str:
    if len(text) <= MAX_VALUE:
        return text
    return f"{text[:MAX_VALUE]}… ({len(text) - MAX_VALUE} more characters)"


def _when(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
