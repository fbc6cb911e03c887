"""`hermesd dlq`: the jobs that failed for good."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from hermesd.cli import exits
from hermesd.cli.connection import connected
from hermesd.cli.exits import Failed
from hermesd.cli.jobs import collect, show_page
from hermesd.cli.options import Moment, json_option, labels_option, limit_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.cli.tables import dead_table
from hermesd.client import Selection

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def dlq() -> None:
    """Look at, requeue and purge the dead-letter queue."""


@dlq.command("list")
@click.option("--type", "job_type", help="Only of this job type.")
@click.option("--queue", help="Only of this queue.")
@click.option("--error-kind", help="Only with this kind of error (timeout, crashed, ...).")
@click.option("--cursor", help="Go on from the `next_cursor` of an earlier list.")
@limit_option(50)
@json_option
@click.pass_obj
def list_(
    settings: Settings,
    job_type: str | None,
    queue: str | None,
    error_kind: str | None,
    cursor: str | None,
    limit: int,
) -> None:
    """List dead jobs, newest first."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        page = collect(
            lambda cursor, size: client.dlq(
                job_type=job_type, queue=queue, error_kind=error_kind, cursor=cursor, limit=size
            ),
            cursor,
            limit,
        )
    show_page(screen, page, dead_table)


def _selection_options(command: F) -> F:
    for option in (
        click.option("--dry-run", is_flag=True, help="Only count them."),
        click.option("--all", "everything", is_flag=True, help="All dead jobs."),
        click.option("--before", type=Moment(), help="Created before this (or: longer ago)."),
        labels_option("Only with this label; may be repeated."),
        click.option("--error-kind", help="Only with this kind of error."),
        click.option("--queue", help="Only of this queue."),
        click.option("--type", "job_type", help="Only of this job type."),
        click.argument("ids", metavar="[ID...]", nargs=-1),
    ):
        command = option(command)
    return command


@dlq.command()
@_selection_options
@json_option
@click.pass_obj
def requeue(settings: Settings, /, dry_run: bool, **chosen: Any) -> None:
    """Start a new run of dead jobs: by ID, by filters, or --all."""
    screen = Screen.of(settings)
    selection = _selection(**chosen)
    with connected(settings) as client:
        answer = client.dlq_requeue(dry_run=dry_run, **selection)
    if screen.as_json:
        screen.emit(answer)
    elif dry_run:
        screen.line(f"{_jobs(answer.matched)} would be requeued")
    else:
        screen.line(f"{_jobs(answer.requeued)} requeued")


@dlq.command()
@_selection_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def purge(settings: Settings, /, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Delete dead jobs for good: by ID, by filters, or --all. Asks first on a terminal."""
    screen = Screen.of(settings)
    selection = _selection(**chosen)
    with connected(settings) as client:
        if not dry_run and not yes and sys.stdin.isatty():
            matched = client.dlq_purge(dry_run=True, **selection).matched
            if not click.confirm(f"Delete {_jobs(matched)} for good?", err=True):
                raise Failed(exits.REFUSED, "nothing was deleted", {"slug": "not-confirmed"})
        answer = client.dlq_purge(dry_run=dry_run, **selection)
    if screen.as_json:
        screen.emit(answer)
    elif dry_run:
        screen.line(f"{_jobs(answer.matched)} would be deleted")
    else:
        screen.line(f"{_jobs(answer.purged)} deleted")


def _selection(
    ids: Sequence[str],
    job_type: str | None,
    queue: str | None,
    error_kind: str | None,
    labels: dict[str, str],
    before: datetime | None,
    everything: bool,
) -> Selection:
    """What the options chose; the client refuses nothing at all and contradictions."""
    selection = Selection(ids=ids, everything=everything)
    if job_type:
        selection["type"] = job_type
    if queue:
        selection["queue"] = queue
    if error_kind:
        selection["error_kind"] = error_kind
    if labels:
        selection["label"] = labels
    if before:
        selection["before"] = before
    return selection


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
