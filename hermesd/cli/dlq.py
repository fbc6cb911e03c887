"""`hermesd dlq`: the jobs that failed for good, and the broker's messages that nobody could use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

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
from hermesd.cli.filters import filters_of, job_only, job_only_filters
from hermesd.cli.jobs import collect, show_page
from hermesd.cli.options import Moment, json_option, labels_option, limit_option, with_options
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.cli.tables import dead_table, group_table, job_record
from hermesd.client import ApiError, Client, DlqFilters, Filters, JobPage, JobView, Selection
from hermesd.client.bulk import dlq_purge
from hermesd.core.states import State

if TYPE_CHECKING:
    from hermesd.cli.broker_dead import Seen

F = TypeVar("F", bound=Callable[..., Any])

MAX_GROUPS: Final = 100  # of one answer

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
@click.option("--type", help="Only of this job type.")
@click.option("--queue", help="Only of this queue.")
@job_only_filters
@click.option("--cursor", help="Go on from the `next_cursor` of an earlier list of jobs.")
@_where_option
@limit_option(50)
@json_option
@click.pass_obj
def list_(settings: Settings, /, cursor: str | None, where: str, limit: int, **chosen: Any) -> None:
    """List dead jobs, newest first, and the dead messages of the broker, as they lie there."""
    screen = Screen.of(settings)
    filters = cast(DlqFilters, filters_of(chosen))
    broker = asked_broker(settings, where)
    page = JobPage(jobs=())
    if where != BROKER:
        with connected(settings) as client:
            page = collect(
                lambda cursor, size: client.dlq(cursor=cursor, limit=size, **filters),
                cursor,
                limit,
            )
    if broker is None or job_only(filters) or cursor:
        show_page(screen, page, dead_table)
        return
    picked = Picked(type=chosen["type"], queue=chosen["queue"], everything=not filters)
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


@dlq.command()
@click.option("--type", multiple=True, help="Any of these job types.")
@click.option("--queue", multiple=True, help="Any of these queues.")
@labels_option("Only of jobs with this label; may be repeated.")
@click.option("--after", type=Moment(), help="Created after this (or: at most so long ago).")
@click.option("--before", type=Moment(), help="Created before this (or: longer ago).")
@limit_option(MAX_GROUPS)
@json_option
@click.pass_obj
def groups(settings: Settings, /, limit: int, **chosen: Any) -> None:
    """Show what dead jobs have in common: type, kind of error, and its first line.

    Numbers and ids in it are shown as #. To requeue or purge a group, give these back: --type,
    --error-kind and --error.
    """
    screen = Screen.of(settings)
    filters = cast(Filters, filters_of(chosen))
    with connected(settings) as client:
        found = client.dlq_groups(limit=min(limit, MAX_GROUPS), **filters)
    if screen.as_json:
        screen.emit(found)
        return
    group_table(screen, found.groups)
    if found.more_groups:
        screen.note(f"there are {found.more_groups} more groups")
    if not found.complete:
        screen.note(f"these are the newest {found.jobs} dead jobs; older ones were not looked at")


def _selection_options(command: F) -> F:
    return with_options(
        command,
        click.argument("ids", metavar="[ID...]", nargs=-1),
        click.option("--type", help="Only of this job type."),
        click.option("--queue", help="Only of this queue."),
        job_only_filters,
        click.option("--all", "everything", is_flag=True, help="All that is dead."),
        _where_option,
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Only count them."),
    )


@dlq.command()
@_selection_options
@json_option
@click.pass_obj
def requeue(settings: Settings, /, **chosen: Any) -> int:
    """Start a new run of dead jobs: by ID, by filters, or --all.

    The broker's messages go back to where they were published, each when the broker has confirmed
    its copy. On a terminal it asks first, unless it is for some jobs by ID alone.
    """
    return carry_out(settings, _order(REQUEUE, **chosen))


@dlq.command()
@_selection_options
@json_option
@click.pass_obj
def purge(settings: Settings, /, **chosen: Any) -> int:
    """Delete dead jobs for good: by ID, by filters, or --all. Asks first on a terminal."""
    return carry_out(settings, _order(PURGE, **chosen))


def _order(
    act: Act,
    *,
    ids: Sequence[str],
    everything: bool,
    where: str,
    dry_run: bool,
    yes: bool,
    **chosen: Any,
) -> Order:
    filters = filters_of(chosen)
    selection = cast(Selection, {**filters, "ids": ids or None, "everything": everything})
    dlq_purge(selection, dry_run=True)  # refuses nothing at all, and contradictions
    picked = Picked(ids=ids, type=chosen["type"], queue=chosen["queue"], everything=everything)
    return Order(
        act=act,
        selection=selection,
        picked=None if job_only(filters) else picked,
        where=where,
        dry_run=dry_run,
        ask=not yes,
    )


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
