"""`hermesd db`: the store's schema."""

from __future__ import annotations

import os
import time

import click

from hermesd.cli import exits
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.config import load
from hermesd.stores import checkup, identity, migrate


@click.group()
def db() -> None:
    """Upgrade the store's schema, show its version, check the database, or renew its identity."""


@db.command()
@json_option
@click.pass_obj
def upgrade(settings: Settings) -> None:
    """Bring the database of `store.url` to the schema of this version. Stop the daemons first."""
    screen = Screen.of(settings)
    url = load(settings.config_paths, os.environ).store.url
    before = migrate.current(url)
    version = migrate.upgrade(url)
    if screen.as_json:
        screen.emit({"before": before, "current": version})
    elif before == version:
        screen.line(f"schema {version}: nothing to do")
    else:
        screen.line(f"schema {before or '(none)'} upgraded to {version}")


@db.command()
@json_option
@click.pass_obj
def status(settings: Settings) -> int:
    """Show the database's schema and this version's; exit code 1 where they differ."""
    screen = Screen.of(settings)
    current = migrate.current(load(settings.config_paths, os.environ).store.url)
    head = migrate.head()
    if screen.as_json:
        screen.emit({"current": current, "head": head, "up_to_date": current == head})
    elif current == head:
        screen.line(f"schema {current}: up to date")
    else:
        screen.line(f"schema {current or '(none)'}, this version has {head}: hermesd db upgrade")
    return exits.OK if current == head else exits.REFUSED


@db.command()
@json_option
@click.pass_obj
def check(settings: Settings) -> int:
    """Look whether the database is there, up to date and writable; exit code 1 where it is not."""
    screen = Screen.of(settings)
    found = checkup.check(load(settings.config_paths, os.environ).store.url)
    if screen.as_json:
        screen.emit({"server": found.server, "current": found.current, "problems": found.problems})
    else:
        screen.line(f"{found.server}, schema {found.current or '(none)'}")
        for problem in found.problems or ("nothing is wrong with it",):
            screen.line(problem)
    return exits.REFUSED if found.problems else exits.OK


@db.command("new-identity")
@json_option
@click.pass_obj
def new_identity(settings: Settings) -> None:
    """Give a restored backup a new identity. Stop all apis first; workers may run on.

    What workers and the broker hold of the time after the backup is refused from then on, and jobs
    that were running or waiting in it run anew.
    """
    screen = Screen.of(settings)
    url = load(settings.config_paths, os.environ).store.url
    found = identity.renew(url, time.time())
    if screen.as_json:
        screen.emit({"before": found.before, "store_id": found.store_id, "jobs": found.jobs})
    else:
        screen.line(f"store {found.before or '(none)'} is {found.store_id} now")
        screen.line(f"jobs with a new lease: {found.jobs}")
