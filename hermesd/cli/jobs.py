"""`hermesd jobs`: list, show, cancel, retry, events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

from hermesd.cli import exits
from hermesd.cli.connection import connected, ended_by
from hermesd.cli.follow import Watcher
from hermesd.cli.group import tell
from hermesd.cli.options import Moment, json_option, labels_option, limit_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.cli.tables import (
    EVENT_COLUMNS,
    event_row,
    job_record,
    job_table,
    line_row,
    state_text,
)
from hermesd.client import ApiError, Client, JobFilters, JobPage, JobView, LogPage, calls
from hermesd.core.states import State

PAGE_SIZE = 500
_FOLLOW_SECONDS = 1.0  # how late a line is shown
Listing = Callable[[str | None, int], JobPage]


@click.group()
def jobs() -> None:
    """List, show, cancel and retry jobs."""


@jobs.command("list")
@click.option(
    "--state", multiple=True, type=click.Choice([str(state) for state in State]), help="Any of."
)
@click.option("--type", "types", multiple=True, help="Any of these job types.")
@click.option("--queue", "queues", multiple=True, help="Any of these queues.")
@labels_option("Only with this label; may be repeated.")
@click.option("--worker", help="Only those this worker has or had.")
@click.option("--after", type=Moment(), help="Created after this (or: at most so long ago).")
@click.option("--before", type=Moment(), help="Created before this (or: longer ago).")
@click.option("--cursor", help="Go on from the `next_cursor` of an earlier list.")
@limit_option(50)
@json_option
@click.pass_obj
def list_(
    settings: Settings,
    state: Sequence[str],
    types: Sequence[str],
    queues: Sequence[str],
    labels: dict[str, str],
    worker: str | None,
    after: datetime | None,
    before: datetime | None,
    cursor: str | None,
    limit: int,
) -> None:
    """List jobs, newest first."""
    screen = Screen.of(settings)
    filters = JobFilters(state=state, type=types, queue=queues, label=labels)
    if worker:
        filters["worker"] = worker
    if after:
        filters["after"] = after
    if before:
        filters["before"] = before
    with connected(settings) as client:
        page = collect(
            lambda cursor, size: client.jobs(cursor=cursor, limit=size, **filters), cursor, limit
        )
    show_page(screen, page, job_table)


@jobs.command()
@click.argument("job_id", metavar="ID")
@json_option
@click.pass_obj
def show(settings: Settings, job_id: str) -> None:
    """Show everything about one job."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        job = client.job(job_id)
    if screen.as_json:
        screen.emit({"job": job})
    else:
        job_record(screen, job)


@jobs.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@json_option
@click.pass_obj
def cancel(settings: Settings, job_ids: Sequence[str]) -> int:
    """Cancel jobs; a running one is asked to end."""
    return _each(settings, job_ids, Client.cancel)


@jobs.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@json_option
@click.pass_obj
def retry(settings: Settings, job_ids: Sequence[str]) -> int:
    """Start a new run of failed jobs; scheduled ones become due now."""
    return _each(settings, job_ids, Client.retry)


@jobs.command()
@click.argument("job_id", metavar="ID")
@json_option
@click.pass_obj
def events(settings: Settings, job_id: str) -> None:
    """Show the history of one job, oldest first."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        history = client.events(job_id)
    if screen.as_json:
        screen.emit(history)
    else:
        rows = (event_row(screen, event) for event in history.events)
        screen.table(EVENT_COLUMNS, rows, nothing="nothing is known of this job")


@jobs.command()
@click.argument("job_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job's run has ended.")
@json_option
@click.pass_obj
def logs(settings: Settings, job_id: str, follow: bool) -> None:
    """Show what a job has logged, oldest first; with --follow what it logs, as it does."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        job = client.job(job_id)
        watcher = Watcher(client, job)
        if screen.as_json and not follow:
            lines = tuple(client.iter_logs(job_id))
            screen.emit(LogPage(lines=lines, dropped=job.logs_dropped or 0))
            return
        _show_lines(screen, watcher, job)
        while follow and not job.state.terminal:
            job = client.call(calls.job(job_id, wait_seconds=_FOLLOW_SECONDS)).job
            _show_lines(screen, watcher, job)
    if job.logs_dropped:
        screen.note(f"({job.logs_dropped} more lines were too many, and are not kept)")


def collect(listing: Listing, cursor: str | None, limit: int) -> JobPage:
    """As many pages as `limit` jobs take, as one."""
    found: list[JobView] = []
    while True:
        page = listing(cursor, min(limit - len(found), PAGE_SIZE))
        found += page.jobs
        cursor = page.next_cursor
        if cursor is None or len(found) >= limit:
            return JobPage(jobs=tuple(found), next_cursor=cursor)


def show_page(screen: Screen, page: JobPage, table: Callable[[Screen, Any], None]) -> None:
    """The page, and that there is more."""
    if screen.as_json:
        screen.emit(page)
        return
    table(screen, page.jobs)
    if page.next_cursor:
        screen.note(f"there are more: raise --limit, or go on with --cursor {page.next_cursor}")


def _show_lines(screen: Screen, watcher: Watcher, job: JobView) -> None:
    for line in watcher.lines(job):
        if screen.as_json:
            screen.json_text(msgspec.json.encode(line))
        else:
            screen.row(line_row(line))


def _each(settings: Settings, job_ids: Sequence[str], act: Callable[[Client, str], JobView]) -> int:
    """Acts on each job, whatever the api says to the others; the first refusal's exit code."""
    screen = Screen.of(settings)
    done: list[JobView] = []
    exit_code = exits.OK
    with connected(settings) as client:
        for job_id in job_ids:
            try:
                job = act(client, job_id)
            except ApiError as fault:
                refused = ended_by(fault)
                refused.detail = f"{job_id}: {refused.detail}"
                told = tell(refused, screen.as_json)
                exit_code = exit_code or told
                continue
            done.append(job)
            if not screen.as_json:
                screen.line(f"{job.id} {state_text(job)}")
    if screen.as_json:
        screen.emit({"jobs": done})
    return exit_code
