"""`hermesd plugins`: what is installed, and what of it cannot be used."""

from __future__ import annotations

import contextlib
import os
import sys

import click

from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.config import load
from hermesd.handlers.catalogue import Catalogue
from hermesd.handlers.loader import load_plugins


@click.group()
def plugins() -> None:
    """Show the installed plugins and what ails them."""


@plugins.command("list")
@json_option
@click.pass_obj
def list_(settings: Settings) -> None:
    """List the plugins: loaded, disabled, or quarantined and why.

    They are imported as the daemon would import them, in the environment of this command.
    """
    screen = Screen.of(settings)
    catalogue = _loaded(settings)
    if screen.as_json:
        screen.emit({"plugins": catalogue.plugins, "problems": catalogue.problems})
        return
    rows = (
        (each.name, str(each.status), each.version, each.distribution, " ".join(each.types))
        for each in catalogue.plugins
    )
    columns = ("plugin", "status", "version", "distribution", "types")
    screen.table(columns, rows, nothing="no plugins are installed")
    for problem in catalogue.problems:
        screen.note(problem)


def _loaded(settings: Settings) -> Catalogue:
    section = load(settings.config_paths, os.environ).plugins
    # A plugin that prints while it is imported must not spoil the answer.
    with contextlib.redirect_stdout(sys.stderr):
        return load_plugins(
            enabled=section.enabled or None, disabled=section.disabled, settings=section.settings
        )
