"""`hermesd serve`: the daemon itself."""

from __future__ import annotations

import os

import click

from hermesd.cli.settings import Settings
from hermesd.config import load


@click.command()
@click.option(
    "--role",
    type=click.Choice(["api", "worker", "both"]),
    default="both",
    show_default=True,
    help="Which part of the work this process does.",
)
@click.pass_obj
def serve(settings: Settings, role: str) -> int:
    """Run the daemon as api, worker or both.

    It stays in the foreground until SIGTERM or SIGINT, then drains; a second one ends it at once.
    """
    config = load(settings.config_paths, os.environ)
    # Here, so that `serve --help` and a refused configuration do not wait for the whole daemon.
    from hermesd.daemon import run

    return run(config, role)
