"""`hermesd broker`: whether a message broker can be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hermesd.cli import exits
from hermesd.cli.exits import Failed
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.core.errors import Unavailable

if TYPE_CHECKING:
    from hermesd.bridge.amqp import Broker, QueueFacts


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
    try:
        checked = _checked(url, queues, timeout_seconds)
    except Unavailable as error:
        raise Failed(exits.NOT_REACHED, error.detail, {"slug": error.slug}) from error
    screen = Screen.of(settings)
    if screen.as_json:
        screen.emit(_members(*checked))
    else:
        screen.record(_lines(*checked))
    return exits.REFUSED if None in checked[2].values() else exits.OK


def _checked(
    url: str, queues: tuple[str, ...], timeout_seconds: float
) -> tuple[Broker, float, dict[str, QueueFacts | None]]:
    """The broker, the seconds of a round trip, and of each queue what it holds."""
    # Here, since they take longer to load than most commands take.
    import logging

    import trio

    from hermesd.bridge.amqp import open_amqp
    from hermesd.bridge.loop import open_bridge

    # What it would log is what our error says; with no handler at all it would go to stderr.
    logging.getLogger("aiormq").addHandler(logging.NullHandler())

    async def ask() -> tuple[Broker, float, dict[str, QueueFacts | None]]:
        async with (
            open_bridge(),
            open_amqp(url, call_timeout_seconds=timeout_seconds) as connection,
        ):
            seconds = await connection.round_trip_seconds()
            facts = {name: await connection.queue(name) for name in queues}
            return connection.broker, seconds, facts

    return trio.run(ask)


def _members(
    broker: Broker, seconds: float, queues: dict[str, QueueFacts | None]
) -> dict[str, Any]:
    return {
        "product": broker.product,
        "version": broker.version,
        "cluster": broker.cluster_name,
        "round_trip_ms": round(seconds * 1000, 3),
        "queues": {name: facts and _held(facts) for name, facts in queues.items()},
    }


def _held(facts: QueueFacts) -> dict[str, int]:
    return {"messages": facts.messages, "consumers": facts.consumers}


def _lines(
    broker: Broker, seconds: float, queues: dict[str, QueueFacts | None]
) -> list[tuple[str, str]]:
    about = [
        ("product", broker.product),
        ("version", broker.version),
        ("cluster", broker.cluster_name),
        ("round trip", f"{seconds * 1000:.2f} ms"),
    ]
    for name, facts in queues.items():
        held = f"messages {facts.messages}, consumers {facts.consumers}" if facts else "absent"
        about.append((f"queue {name}", held))
    return about
