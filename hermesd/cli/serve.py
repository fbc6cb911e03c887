"""`hermesd serve`: the daemon itself."""

from __future__ import annotations

import os
from functools import partial

import click

from hermesd.cli.options import instance_option
from hermesd.cli.settings import Settings
from hermesd.config import Instance, load
from hermesd.config.instance import ROLES


@click.command()
@click.option(
    "--role",
    type=click.Choice(ROLES),
    help="Which part of the work this process does.  [default: both]",
)
@instance_option
@click.pass_obj
def serve(settings: Settings, role: str | None, instance: Instance | None) -> int:
    """Run the daemon as api, worker or both.

    It stays in the foreground until SIGTERM or SIGINT, then drains; a second one ends it at once.
    SIGHUP has it read the configuration again.
    """
    if instance is not None:
        if role is not None:
            raise click.UsageError("--instance says the role already; leave --role out")
        role = instance.role
    read = partial(load, settings.config_paths, os.environ, instance=instance)
    config = read()
    # Here, so that `serve --help` and a refused configuration do not wait for the whole daemon.
    from hermesd.daemon import run

    return run(config, role or "both", read=read)
