"""`hermesd jobs tail`: what happens to jobs, as it happens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import click
import msgspec

from hermesd.cli.connection import connected
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.cli.tables import event_row
from hermesd.client import ApiError, Client, Event
from hermesd.core.events import EventKind
from hermesd.core.states import State

MAX_KNOWN: Final = 10_000  # jobs whose queue is remembered
# The state that a job is in after an event of that kind.
AFTERWARDS: Final = {
    EventKind.SUBMITTED: State.QUEUED,
    EventKind.QUEUED: State.QUEUED,
    EventKind.PUBLISHED: State.QUEUED,
    EventKind.TAKEN_BACK: State.QUEUED,
    EventKind.RELEASED: State.QUEUED,
    EventKind.REQUEUED: State.QUEUED,
    EventKind.DUE: State.QUEUED,
    EventKind.DIRECT: State.RUNNING,
    EventKind.STARTED: State.RUNNING,
    EventKind.PROGRESS: State.RUNNING,
    EventKind.LOGGED: State.RUNNING,
    EventKind.CANCEL_REQUESTED: State.RUNNING,
    EventKind.RETRY: State.SCHEDULED,
    EventKind.SNOOZED: State.SCHEDULED,
    EventKind.SUCCEEDED: State.SUCCEEDED,
    EventKind.FAILED: State.FAILED,
    EventKind.QUARANTINED: State.FAILED,
    EventKind.UNSTORABLE: State.FAILED,
    EventKind.CANCELLED: State.CANCELLED,
}


@click.command()
@click.option("--type", "types", multiple=True, help="Any of these job types.")
@click.option(
    "--queue", "queues", multiple=True, help="Any of these queues; each job is asked for."
)
@click.option(
    "--state",
    "states",
    type=click.Choice([str(state) for state in State]),
    multiple=True,
    help="Only what brings a job into any of these states.",
)
@json_option
@click.pass_obj
def tail(
    settings: Settings, types: Sequence[str], queues: Sequence[str], states: Sequence[str]
) -> None:
    """Show what happens to jobs, a line each as it happens, until Ctrl-C.

    Where the api could not be reached for a while, lines are missing, and that is said.
    """
    screen = Screen.of(settings)
    with connected(settings) as client, client.stream_events() as stream:
        wanted = Wanted(client, types, queues, states)
        for streamed in stream:
            if streamed.gap:
                screen.note("(some events were missed)")
            if wanted.fits(streamed.event):
                _show(screen, streamed.event)


class Wanted:
    """Which events are shown. An event does not say its job's queue: the api is asked, once."""

    def __init__(
        self, client: Client, types: Sequence[str], queues: Sequence[str], states: Sequence[str]
    ) -> None:
        self._client = client
        self._types = types
        self._queues = queues
        self._states = states
        self._known: OrderedDict[str, str] = OrderedDict()

    def fits(self, event: Event) -> bool:
        """Whether it is of a job, and of one that is meant."""
        if event.job_id is None or (self._types and event.job_type not in self._types):
            return False
        if self._states and _state_after(event.kind) not in self._states:
            return False
        return not self._queues or self._queue_of(event.job_id) in self._queues

    def _queue_of(self, job_id: str) -> str:
        """Empty for a job that is gone already."""
        if job_id not in self._known:
            try:
                queue = self._client.job(job_id).queue
            except ApiError as fault:
                if fault.status != 404:
                    raise
                queue = ""
            self._known[job_id] = queue
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return self._known[job_id]


def _state_after(kind: str) -> State | None:
    """None for one of a newer api that is not known here, too."""
    try:
        return AFTERWARDS.get(EventKind(kind))
    except ValueError:
        return None


def _show(screen: Screen, event: Event) -> None:
    """At once, since whoever follows reads along."""
    if screen.as_json:
        screen.json_text(msgspec.json.encode(event))
    else:
        time = event.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
        screen.row((time, *event_row(screen, event)[1:]))
