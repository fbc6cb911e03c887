"""`hermesd broker`: whether a message broker can be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hermesd.cli import exits
from hermesd.cli.exits import Failed
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.core.errors import Unavailable

if TYPE_CHECKING:
    from hermesd.cli.broker_check import Checked


@click.group()
def broker() -> None:
    """Check a message broker before it is relied on."""


@broker.command()
@click.argument("url", envvar="HERMES_BROKER_URL")
@click.option(
    "--queue", "queues", multiple=True, metavar="NAME", help="Look at this queue; may be repeated."
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long connecting, and then each question, may take.",
)
@json_option
@click.pass_obj
def check(settings: Settings, url: str, queues: tuple[str, ...], timeout_seconds: float) -> int:
    """Connect to the RabbitMQ at URL and show who answers, how fast, and what its queues hold.

    It is for trying a broker from the very machine that shall use it, before a deployment is
    pointed at it. Nothing is declared, published or taken.

    URL is amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS (an own authority goes into
    SSL_CERT_FILE). Without it HERMES_BROKER_URL is taken, which hides the password from `ps`.

    Exit codes: 0 all is well, 1 a queue is absent, 64 no such URL, 69 not reached, 77 refused.
    """
    # Here, since it takes longer to load than most commands take.
    from hermesd.cli.broker_check import checked

    try:
        found = checked(url, queues, timeout_seconds=timeout_seconds)
    except Unavailable as error:
        raise Failed(exits.NOT_REACHED, error.detail, {"slug": error.slug}) from error
    screen = Screen.of(settings)
    if screen.as_json:
        screen.emit(_members(found))
    else:
        screen.record(_lines(found))
    return exits.REFUSED if None in found.queues.values() else exits.OK


def _members(found: Checked) -> dict[str, object]:
    return {
        "product": found.broker.product,
        "version": found.broker.version,
        "cluster": found.broker.cluster_name,
        "round_trip_ms": round(found.round_trip_seconds * 1000, 3),
        "queues": found.queues,
    }


def _lines(found: Checked) -> list[tuple[str, str]]:
    lines = [
        ("product", found.broker.product),
        ("version", found.broker.version),
        ("cluster", found.broker.cluster_name),
        ("round trip", f"{found.round_trip_seconds * 1000:.2f} ms"),
    ]
    for name, facts in found.queues.items():
        held = f"messages {facts.messages}, consumers {facts.consumers}" if facts else "absent"
        lines.append((f"queue {name}", held))
    return lines
