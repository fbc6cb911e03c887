"""`hermesd version`."""

from __future__ import annotations

import platform

import click

from hermesd import __version__
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings


@click.command()
@json_option
@click.pass_obj
def version(settings: Settings) -> None:
    """Show the version."""
    screen = Screen.of(settings)
    python = platform.python_version()
    if screen.as_json:
        screen.emit({"name": "hermesd", "version": __version__, "python": python})
    else:
        screen.line(f"hermesd {__version__} (Python {python})")
