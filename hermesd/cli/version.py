"""`hermesd version`: of the program, and of all that it stands on and speaks."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from typing import Final

import click

from hermesd import __version__
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.core import words
from hermesd.handlers.loader import GROUP
from hermesd.stores.version import HEAD

NAME: Final = "hermesd"
CONTROL: Final = "hermes.v1"  # the package of proto/hermes/v1/control.proto
_OPTIONAL: Final = 'extra == "otel"'
_REQUIREMENT: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)[^;]*(?:;\s*(?P<marker>.+))?")


@click.command(short_help="Show the version.")
@json_option
@click.pass_obj
def version(settings: Settings) -> None:
    """Show the version; as JSON also those of packages, plugins, the store's schema and the wire.

    Plugins are listed as installed; `hermesd plugins list` imports them.
    """
    screen = Screen.of(settings)
    python = platform.python_version()
    if not screen.as_json:
        screen.line(f"{NAME} {__version__} (Python {python})")
        return
    screen.emit(
        {
            "name": NAME,
            "version": __version__,
            "python": python,
            "platform": platform.platform(),
            "packages": dict(_packages()),
            "plugins": list(_plugins()),
            "schema": HEAD,
            "wire": {"control": CONTROL, "bus": words.VERSION},
        }
    )


def _packages() -> Iterator[tuple[str, str]]:
    """What hermesd requires, and what of the optional packages is there."""
    try:
        required = metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:  # run from its sources
        return
    for requirement in sorted(required, key=str.lower):
        found = _REQUIREMENT.match(requirement)
        if found is not None and found["marker"] in (None, _OPTIONAL):
            try:
                yield found["name"], metadata.version(found["name"])
            except metadata.PackageNotFoundError:
                continue


def _plugins() -> Iterator[dict[str, str]]:
    """By their entry points, so that none is imported."""
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        package = point.dist
        yield {
            "name": point.name,
            "distribution": package.name if package is not None else "",
            "version": package.version if package is not None else "",
        }
