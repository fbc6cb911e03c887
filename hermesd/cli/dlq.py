"""`hermesd dlq`: the jobs that failed for good, and the broker's messages that nobody could use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from hermesd.cli import exits
from hermesd.cli.broker_letters import Picked
from hermesd.cli.broker_orders import (
    BOTH,
    BROKER,
    STORE,
    Act,
    Order,
    asked_broker,
    carry_out,
    reached,
)
from hermesd.cli.broker_tables import body_text, dead_of_both, letter_record
from hermesd.cli.connection import connected
from hermesd.cli.exits import Failed
from hermesd.cli.jobs import collect, show_page
from hermesd.cli.options import Moment, json_option, labels_option, limit_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.cli.tables import dead_table, job_record
from hermesd.client import ApiError, Client, JobPage, JobView, Selection, calls
from hermesd.core.states import State

if TYPE_CHECKING:
    from hermesd.cli.broker_dead import Seen

F = TypeVar("F", bound=Callable[..., Any])

REQUEUE: Final = Act(
    name="requeue",
    done="requeued",
    store=Client.dlq_requeue,
    broker=lambda broker, picked, limit: broker.requeue(picked, limit),
    loss=False,
)
PURGE: Final = Act(
    name="delete",
    done="purged",
    store=Client.dlq_purge,
    broker=lambda broker, picked, limit: broker.purge(picked, limit),
    loss=True,
)
_where_option = click.option(
    "--where",
    type=click.Choice([STORE, BROKER, BOTH]),
    default=BOTH,
    show_default=True,
    help="Failed jobs of the store, messages in the broker of [queue], or both.",
)


@click.group()
def dlq() -> None:
    """Look at, requeue and purge the dead-letter queue.

    With a broker in the configuration these are also its messages that nobody could use: their ids
    are JOB.LEASE, and a job's id means all messages of that job.
    """


@dlq.command("list")
@click.option("--type", "job_type", help="Only of this job type.")
@click.option("--queue", help="Only of this queue.")
@click.option("--error-kind", help="Only jobs with this kind of error (timeout, crashed, ...).")
@click.option("--cursor", help="Go on from the `next_cursor` of an earlier list of jobs.")
@_where_option
@limit_option(50)
@json_option
@click.pass_obj
def list_(
    settings: Settings,
    job_type: str | None,
    queue: str | None,
    error_kind: str | None,
    cursor: str | None,
    where: str,
    limit: int,
) -> None:
    """List dead jobs, newest first, and the dead messages of the broker, as they lie there."""
    screen = Screen.of(settings)
    broker = asked_broker(settings, where)
    page = JobPage(jobs=())
    if where != BROKER:
        with connected(settings) as client:
            page = collect(
                lambda cursor, size: client.dlq(
                    job_type=job_type, queue=queue, error_kind=error_kind, cursor=cursor, limit=size
                ),
                cursor,
                limit,
            )
    if broker is None or error_kind or cursor:
        show_page(screen, page, dead_table)
        return
    every = not (job_type or queue)
    picked = Picked(type=job_type, queue=queue, everything=every)
    try:
        with reached():
            seen = broker.look(picked, limit)
    except Failed:
        if where == BOTH:  # what is known is of use, in the moment when a broker is away
            show_page(screen, page, dead_table)
        raise
    _show_both(screen, page, seen)


@dlq.command()
@click.argument("dead_id", metavar="ID")
@_where_option
@json_option
@click.pass_obj
def show(settings: Settings, dead_id: str, where: str) -> None:
    """Show everything about a dead job, and about the broker's messages of that ID."""
    screen = Screen.of(settings)
    broker = asked_broker(settings, where)
    job = None
    if where != BROKER:
        with connected(settings) as client:
            job = _job(client, dead_id, needed=broker is None)
    letters, bodies = [], []
    if broker is not None:
        with reached():
            seen = broker.look(Picked(ids=(dead_id,)), limit=20)
        letters, bodies = seen.letters, seen.bodies
    if not letters and (job is None or job.state is not State.FAILED):
        state = f"job {dead_id} is {job.state}, not dead" if job else f"{dead_id} is not here"
        raise Failed(exits.REFUSED, state, {"slug": "not-found"})
    if screen.as_json:
        shown = [
            {"message": letter, "body": body_text(body)}
            for letter, body in zip(letters, bodies, strict=True)
        ]
        screen.emit({"job": job} if broker is None else {"job": job, "messages": shown})
        return
    if job is not None:
        job_record(screen, job)
    for letter, body in zip(letters, bodies, strict=True):
        letter_record(screen, letter, body)


def _selection_options(command: F) -> F:
    for option in (
        click.option("--dry-run", is_flag=True, help="Only count them."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        _where_option,
        click.option("--all", "everything", is_flag=True, help="All that is dead."),
        click.option("--before", type=Moment(), help="Jobs created before this (or: longer ago)."),
        labels_option("Only jobs with this label; may be repeated."),
        click.option("--error-kind", help="Only jobs with this kind of error."),
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
def requeue(settings: Settings, /, **chosen: Any) -> int:
    """Start a new run of dead jobs: by ID, by filters, or --all.

    The broker's messages go back to where they were published, each when the broker has confirmed
    its copy. On a terminal it asks first if there are such messages.
    """
    return carry_out(settings, _order(REQUEUE, **chosen))


@dlq.command()
@_selection_options
@json_option
@click.pass_obj
def purge(settings: Settings, /, **chosen: Any) -> int:
    """Delete dead jobs for good: by ID, by filters, or --all. Asks first on a terminal."""
    return carry_out(settings, _order(PURGE, **chosen))


def _order(act: Act, *, where: str, dry_run: bool, yes: bool, **chosen: Any) -> Order:
    selection = _selection(**chosen)
    calls.dlq_purge(selection, dry_run=True)  # refuses nothing at all, and contradictions
    of_jobs = {"error_kind", "label", "before"} & selection.keys()
    picked = Picked(
        ids=selection.get("ids", ()),
        type=selection.get("type"),
        queue=selection.get("queue"),
        everything=selection.get("everything", False),
    )
    return Order(
        act=act,
        selection=selection,
        picked=None if of_jobs else picked,
        where=where,
        dry_run=dry_run,
        ask=not yes,
    )


def _selection(
    ids: Sequence[str],
    job_type: str | None,
    queue: str | None,
    error_kind: str | None,
    labels: dict[str, str],
    before: datetime | None,
    everything: bool,
) -> Selection:
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


def _job(client: Client, job_id: str, *, needed: bool) -> JobView | None:
    """The job; None where there is none and that is no fault."""
    try:
        return client.job(job_id)
    except ApiError as fault:
        if needed or fault.status != 404:
            raise
        return None


def _show_both(screen: Screen, page: JobPage, seen: Seen) -> None:
    if screen.as_json:
        screen.emit(
            {
                "jobs": page.jobs,
                "next_cursor": page.next_cursor,
                "messages": seen.letters,
                "messages_complete": seen.complete,
            }
        )
        return
    show_page(screen, page, partial(_with_letters, seen))
    if not seen.complete:
        screen.note(f"the broker has {seen.waiting} dead messages in all: raise --limit")


def _with_letters(seen: Seen, screen: Screen, jobs: Sequence[JobView]) -> None:
    dead_of_both(screen, jobs, seen.letters)
