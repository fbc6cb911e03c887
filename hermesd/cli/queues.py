"""`hermesd queues`: list, show, pause, resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click

from hermesd.cli.connection import connected
from hermesd.cli.options import json_option
from hermesd.cli.said import reason_option, said
from hermesd.cli.screen import Screen, span
from hermesd.cli.settings import Settings
from hermesd.client import Client, QueueView

COLUMNS: Final = (
    *("queue", "state", "waiting", "oldest", "running", "free", "workers", "rung"),
    *("since", "by", "why"),
)


@click.group()
def queues() -> None:
    """List, pause and resume the named queues."""


@queues.command("list")
@json_option
@click.pass_obj
def list_(settings: Settings) -> None:
    """List the queues: what waits and runs, and who serves them."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        found = client.queues()
    if screen.as_json:
        screen.emit(found)
        return
    rows = (
        (
            each.name,
            _state(each),
            str(each.waiting),
            _oldest(each),
            str(each.running),
            f"{each.free}/{each.slots}",
            str(each.workers),
            each.rung,
            screen.when(each.paused_since),
            each.paused_by,
            each.reason,
        )
        for each in found.queues
    )
    screen.table(COLUMNS, rows, nothing="no queues")


@queues.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(settings: Settings, name: str) -> None:
    """Show one queue."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        queue = client.queue(name)
    if screen.as_json:
        screen.emit({"queue": queue})
        return
    levels = ", ".join(f"{number} of {level}" for level, number in queue.by_priority.items())
    screen.record(
        [
            ("queue", queue.name),
            ("state", _state(queue)),
            ("paused", screen.when(queue.paused_since)),
            ("by", queue.paused_by),
            ("why", queue.reason),
            ("waiting", str(queue.waiting)),
            ("  by priority", levels),
            ("  at the broker", str(queue.at_broker or "")),
            ("  the oldest for", _oldest(queue)),
            ("running", str(queue.running)),
            ("workers", str(queue.workers)),
            ("free slots", f"{queue.free} of {queue.slots}"),
            ("rung", queue.rung),
        ]
    )


@queues.command()
@click.argument("name")
@reason_option
@json_option
@click.pass_obj
def pause(settings: Settings, name: str, reason: str | None) -> None:
    """Start none of a queue's jobs until it is resumed; they are still accepted."""
    _order(settings, Client.pause_queue, name, reason)


@queues.command()
@click.argument("name")
@reason_option
@json_option
@click.pass_obj
def resume(settings: Settings, name: str, reason: str | None) -> None:
    """Start the jobs of a paused queue again."""
    _order(settings, Client.resume_queue, name, reason)


def _order(
    settings: Settings, order: Callable[..., QueueView], name: str, reason: str | None
) -> None:
    screen = Screen.of(settings)
    with connected(settings) as client:
        queue = order(client, name, **said(reason))
    if screen.as_json:
        screen.emit({"queue": queue})
    else:
        screen.line(f"{queue.name} {_state(queue)}, {queue.waiting} waiting")


def _state(queue: QueueView) -> str:
    if queue.paused:
        return "paused"
    return "active" if queue.declared else "not declared"


def _oldest(queue: QueueView) -> str:
    return "" if queue.oldest_seconds is None else span(queue.oldest_seconds)
