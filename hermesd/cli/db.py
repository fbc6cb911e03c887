"""`hermesd db`: the store's schema."""

from __future__ import annotations

import os

import click

from hermesd.cli import exits
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.config import load
from hermesd.stores import migrate


@click.group()
def db() -> None:
    """Upgrade the store's schema, or show its version."""


@db.command()
@json_option
@click.pass_obj
def upgrade(settings: Settings) -> None:
    """Bring the database of `store.url` to the schema of this version. Stop the daemon first."""
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
