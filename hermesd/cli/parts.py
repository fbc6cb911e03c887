"""An order to many jobs as it goes on: asked for on a terminal, and shown there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from hermesd.cli import exits
from hermesd.cli.exits import Failed
from hermesd.cli.screen import Screen
from hermesd.client.dead import Part

OnPart = Callable[[Part], None]


def confirm(question: str, nothing: str) -> None:
    """Ask on a terminal; raises Failed for a no, saying that nothing was done."""
    if not click.confirm(question, err=True):
        raise Failed(exits.REFUSED, nothing, {"slug": "not-confirmed"})


def counted_jobs(count: int) -> str:
    """`1 job`, `7 jobs`."""
    return "1 job" if count == 1 else f"{count} jobs"


def rest_of(screen: Screen, answer: Part) -> int:
    """The exit code; where the order was given up for now, that is told."""
    if answer.cursor is None:
        return exits.OK
    screen.note("the queue has no room for the rest: say it again when fewer jobs wait")
    return exits.TRY_AGAIN


@contextmanager
def shown(screen: Screen, doing: str, total: Callable[[], int]) -> Iterator[OnPart | None]:
    """A bar on the terminal's stderr, which every part moves on; None where there is no terminal.

    `total` is asked for only where it is shown.
    """
    if screen.as_json or not sys.stderr.isatty():
        yield None
        return
    # Here, since it takes longer to load than most commands take.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(doing, total=total())

        def part(so_far: Part) -> None:
            waits = " (the queue is full for now)" if so_far.held_back else ""
            progress.update(bar, completed=so_far.matched, description=doing + waits)

        yield part
