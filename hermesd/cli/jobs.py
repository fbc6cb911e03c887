"""`hermesd jobs`: list, show, cancel, retry, events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
import msgspec

from hermesd.cli import exits
from hermesd.cli.bulk import Many
from hermesd.cli.connection import connected, ended_by
from hermesd.cli.filters import filters_of, job_filters
from hermesd.cli.follow import Watcher
from hermesd.cli.group import tell
from hermesd.cli.options import json_option, limit_option, with_options
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
from hermesd.cli.tail import tail
from hermesd.client import ApiError, Client, JobPage, JobView, LogPage, calls

F = TypeVar("F", bound=Callable[..., Any])

PAGE_SIZE = 500
_FOLLOW_SECONDS = 1.0  # how late a line is shown
Listing = Callable[[str | None, int], JobPage]


@click.group()
def jobs() -> None:
    """List, show, cancel and retry jobs."""


jobs.add_command(tail)


@jobs.command("list")
@job_filters
@click.option("--cursor", help="Go on from the `next_cursor` of an earlier list.")
@limit_option(50)
@json_option
@click.pass_obj
def list_(settings: Settings, /, cursor: str | None, limit: int, **chosen: Any) -> None:
    """List jobs, newest first."""
    screen = Screen.of(settings)
    filters = filters_of(chosen)
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


def _choice(command: F) -> F:
    return with_options(
        command,
        click.argument("ids", metavar="[ID...]", nargs=-1),
        click.option("--dry-run", is_flag=True, help="Only count them."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--all", "everything", is_flag=True, help="All of them."),
        job_filters,
    )


@jobs.command()
@_choice
@json_option
@click.pass_obj
def cancel(settings: Settings, /, ids: Sequence[str], **chosen: Any) -> int:
    """Cancel jobs; a running one is asked to end.

    By ID, or by filters (or --all) whatever waits or runs of them. On a terminal it asks first.
    """
    if ids:
        return _each(settings, ids, chosen, Client.cancel)
    return Many("cancel", "cancelled", Client.cancel_jobs).carry_out(settings, **chosen)


@jobs.command()
@_choice
@json_option
@click.pass_obj
def retry(settings: Settings, /, ids: Sequence[str], **chosen: Any) -> int:
    """Start a new run of failed jobs; scheduled ones become due now.

    By ID, or by filters (or --all) of the failed jobs; of the scheduled ones with --state. On a
    terminal it asks first.
    """
    if ids:
        return _each(settings, ids, chosen, Client.retry)
    return Many("retry", "retried", Client.retry_jobs).carry_out(settings, **chosen)


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


def _each(
    settings: Settings,
    job_ids: Sequence[str],
    chosen: Mapping[str, Any],
    act: Callable[[Client, str], JobView],
) -> int:
    """Acts on each job, whatever the api says to the others; the first refusal's exit code."""
    if any(value for name, value in chosen.items() if name != "yes"):
        raise click.UsageError("ids stand alone: no filter, --all or --dry-run beside them.")
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
