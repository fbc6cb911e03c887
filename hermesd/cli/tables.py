"""Jobs and events as rows and records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from hermesd.cli.screen import Screen, span
from hermesd.client import ErrorGroup, Event, JobView, LogLine
from hermesd.core.job import PRIORITY_LEVELS

JOB_COLUMNS: Final = ("id", "type", "state", "queue", "priority", "attempts", "worker", "created")
DEAD_COLUMNS: Final = ("id", "type", "queue", "run", "failed", "error")
GROUP_COLUMNS: Final = ("jobs", "type", "kind", "error", "first", "last", "newest")
EVENT_COLUMNS: Final = ("time", "kind", "job", "type", "worker", "message")
_MESSAGE_WIDTH: Final = 120


def job_table(screen: Screen, jobs: Iterable[JobView]) -> None:
    """One row a job."""
    rows = (
        (
            job.id,
            job.type,
            state_text(job),
            job.queue,
            str(job.priority),
            f"{job.attempts}/{job.max_attempts}",
            job.worker_id or "",
            screen.when(job.created_at),
        )
        for job in jobs
    )
    screen.table(JOB_COLUMNS, rows, nothing="no such jobs")


def dead_table(screen: Screen, jobs: Iterable[JobView]) -> None:
    """One row a failed job, with why it failed."""
    rows = (dead_row(screen, job) for job in jobs)
    screen.table(DEAD_COLUMNS, rows, nothing="no such dead jobs")


def dead_row(screen: Screen, job: JobView) -> Sequence[str]:
    """The cells of DEAD_COLUMNS."""
    return (
        job.id,
        job.type,
        job.queue,
        str(job.run),
        screen.when(job.finished_at),
        cut(f"{job.error.kind}: {job.error.message}") if job.error else "",
    )


def group_table(screen: Screen, groups: Iterable[ErrorGroup]) -> None:
    """One row a group of dead jobs."""
    rows = (
        (
            str(group.count),
            group.type,
            group.error_kind,
            cut(group.error),
            screen.when(group.oldest),
            screen.when(group.newest),
            group.newest_id,
        )
        for group in groups
    )
    screen.table(GROUP_COLUMNS, rows, nothing="no dead jobs")


def job_record(screen: Screen, job: JobView) -> None:
    """Everything about one job."""
    took = ""
    if job.started_at and job.finished_at:
        took = span((job.finished_at - job.started_at).total_seconds())
    screen.record(
        [
            ("id", job.id),
            ("type", job.type),
            ("state", state_text(job)),
            ("queue", job.queue),
            ("priority", priority_text(job.priority)),
            ("run", str(job.run)),
            ("attempts", f"{job.attempts} of {job.max_attempts}"),
            ("crashes", str(job.crash_count or "")),
            ("timeout", "" if job.timeout is None else span(job.timeout)),
            ("labels", " ".join(f"{key}={value}" for key, value in job.labels.items())),
            ("worker", job.worker_id or ""),
            ("rung", job.rung or ""),
            ("created", screen.when(job.created_at)),
            ("due", screen.when(job.run_at)),
            ("started", screen.when(job.started_at)),
            ("finished", screen.when(job.finished_at)),
            ("took", took),
            ("progress", progress_text(job)),
            ("said", screen.when(job.progress_at)),
            ("lines lost", str(job.logs_dropped or "")),
            ("payload", raw_text(job.raw_payload)),
            ("result", "" if raw_text(job.raw_result) == "null" else raw_text(job.raw_result)),
            ("error", f"{job.error.kind}: {job.error.message}" if job.error else ""),
            ("traceback", job.error.traceback.rstrip() if job.error else ""),
        ]
    )


def event_row(screen: Screen, event: Event) -> Sequence[str]:
    """The cells of EVENT_COLUMNS."""
    return (
        screen.when(event.time),
        event.kind,
        event.job_id or "",
        event.job_type or "",
        event.worker_id or "",
        cut(event.message),
    )


def state_text(job: JobView) -> str:
    """The state, and that a running job has been asked to end."""
    asked = job.cancel_requested and not job.state.terminal
    return f"{job.state} (cancel requested)" if asked else str(job.state)


def progress_text(job: JobView) -> str:
    """`40% resizing`, or nothing."""
    return "" if job.progress is None else f"{job.progress:.0%} {job.progress_note or ''}".rstrip()


def line_row(line: LogLine) -> Sequence[str]:
    """Time, run and attempt, level and text of a line that a job has logged."""
    time = line.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
    return (time, f"{line.run}.{line.attempt}", line.level, line.line)


def priority_text(priority: int) -> str:
    """The number, and its level's name where it has one."""
    names = {number: name for name, number in PRIORITY_LEVELS.items()}
    return f"{priority} ({names[priority]})" if priority in names else str(priority)


def raw_text(raw: msgspec.Raw) -> str:
    """A JSON text as a string."""
    return bytes(raw).decode("utf-8", "backslashreplace")


def cut(text: str) -> str:
    """The beginning of a long text, enough for a row."""
    return text if len(text) <= _MESSAGE_WIDTH else text[: _MESSAGE_WIDTH - 1] + "…"
