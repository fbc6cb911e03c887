"""`hermesd events`: what happened last, or what is happening."""

from __future__ import annotations

import click
import msgspec

from hermesd.cli.connection import connected
from hermesd.cli.options import json_option, limit_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.cli.tables import EVENT_COLUMNS, event_row
from hermesd.client import Client, Event


@click.command(short_help="Show what happened last, or --follow it.")
@click.option("--kind", help="Only of this kind (submitted, failed, evicted, ...).")
@click.option("--job", "job_id", metavar="ID", help="Only of this job.")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@limit_option(50)
@json_option
@click.pass_obj
def events(
    settings: Settings, kind: str | None, job_id: str | None, follow: bool, limit: int
) -> None:
    """Show what happened last, newest first; with --follow what happens, as it does."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        if follow:
            _follow(screen, client, kind, job_id)
            return
        recent = client.recent_events(limit=limit, kind=kind, job_id=job_id)
    if screen.as_json:
        screen.emit(recent)
    else:
        rows = (event_row(screen, event) for event in recent.events)
        screen.table(EVENT_COLUMNS, rows, nothing="nothing has happened")


def _follow(screen: Screen, client: Client, kind: str | None, job_id: str | None) -> None:
    with client.stream_events() as stream:
        for streamed in stream:
            if streamed.gap:
                screen.note("(some events were missed)")
            if kind in (None, streamed.event.kind) and job_id in (None, streamed.event.job_id):
                _show(screen, streamed.event)


def _show(screen: Screen, event: Event) -> None:
    """One line at once, since whoever follows reads along."""
    if screen.as_json:
        screen.json_text(msgspec.json.encode(event))
    else:
        time = event.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
        screen.row((time, *event_row(screen, event)[1:]))
