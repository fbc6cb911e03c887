"""`hermesd topology`: the exchanges and queues in the broker of the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

import click

from hermesd.cli import exits
from hermesd.cli.exits import Failed
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.config import Config, load
from hermesd.core.amqp_names import Names
from hermesd.core.broker import Found, Presence, Topology
from hermesd.core.errors import ConfigError, Unavailable
from hermesd.queues.topology import topology_of

_PRESENT: Final = (Presence.SAME, Presence.CREATED)


@click.group()
def topology() -> None:
    """Create, check or show the broker's queues.

    They follow from [queue] and [queues] of the configuration.
    """


@topology.command()
@json_option
@click.pass_obj
def apply(settings: Settings) -> int:
    """Create in the broker what is absent; to repeat it changes nothing.

    What exists with other arguments is told and left alone: it may hold jobs.

    Exit codes: 0 all is there, 1 something differs, 69 not reached, 77 refused, 78 no broker is
    configured.
    """
    return _show_found(settings, create=True)


@topology.command()
@json_option
@click.pass_obj
def check(settings: Settings) -> int:
    """Tell what is there and how it differs; bindings cannot be asked for, `apply` makes them.

    Exit codes: 0 all is there, 1 something is absent or differs, 69 not reached, 77 refused, 78 no
    broker is configured.
    """
    return _show_found(settings, create=False)


@topology.command()
@json_option
@click.pass_obj
def show(settings: Settings) -> None:
    """Print what `apply` would declare. No broker is asked or needed."""
    screen = Screen.of(settings)
    plan = _plan(load(settings.config_paths, os.environ))
    if screen.as_json:
        screen.emit(plan)
    else:
        screen.table(("what", "name", "how"), _plan_rows(plan), nothing="")


def _plan(config: Config) -> Topology:
    return topology_of(Names.of(config.queue.namespace, config.queue.names), config.queues)


def _plan_rows(plan: Topology) -> Iterator[tuple[str, str, str]]:
    for exchange in plan.exchanges:
        yield "exchange", exchange.name, exchange.kind
    for queue in plan.queues:
        arguments = (f"{name}={value}" for name, value in queue.arguments.items())
        yield "queue", queue.name, " ".join(arguments)
    for binding in plan.bindings:
        yield "binding", binding.queue, f"from {binding.exchange} by {binding.routing_key}"


def _show_found(settings: Settings, *, create: bool) -> int:
    # Here, since it takes longer to load than most commands take.
    from hermesd.cli.topology_found import found_at

    screen = Screen.of(settings)
    config = load(settings.config_paths, os.environ)
    if not config.queue.url:
        raise ConfigError(["queue.url: is not set, so there is no broker to ask"])
    try:
        found = found_at(config.queue, _plan(config), create=create)
    except Unavailable as error:
        raise Failed(exits.NOT_REACHED, error.detail, {"slug": error.slug}) from error
    complete = all(part.presence in _PRESENT for part in found)
    if screen.as_json:
        screen.emit({"complete": complete, "found": found})
    else:
        _show_parts(screen, found)
    return exits.OK if complete else exits.REFUSED


def _show_parts(screen: Screen, found: Sequence[Found]) -> None:
    rows = ((part.what, part.name, part.presence, part.detail) for part in found)
    screen.table(("what", "name", "found", "difference"), rows, nothing="")
    seen = {part.presence for part in found}
    if Presence.ABSENT in seen:
        screen.note("create what is absent: hermesd topology apply")
    if Presence.DIFFERENT in seen:
        screen.note("what differs is never changed: delete it once it is empty, then apply again")
