"""`hermesd plugins`: what is installed, what of it cannot be used, and more or less of it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from hermesd.cli import exits, pip
from hermesd.cli.exits import Failed
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.config import load
from hermesd.handlers.catalogue import Catalogue, PluginInfo
from hermesd.handlers.loader import GROUP, load_plugins

LOOK_SECONDS: Final = 120.0
RESTART: Final = "daemons that run know of it when restarted: systemctl restart 'hermesd@*'"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` answers: plugins, and what is wrong with them."""

    plugins: Sequence[PluginInfo] = ()
    problems: Sequence[str] = ()


@click.group()
def plugins() -> None:
    """Show the installed plugins and what ails them; install and remove some."""


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
        screen.emit(Listed(plugins=catalogue.plugins, problems=catalogue.problems))
        return
    _show(screen, catalogue.plugins, nothing="no plugins are installed")
    for problem in catalogue.problems:
        screen.note(problem)


@plugins.command()
@click.argument("requirement")
@click.option("--upgrade", is_flag=True, help="Take a newer version than the one that is there.")
@click.option(
    "--wheels",
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="Take this and all that it needs from the wheels in FOLDER alone.",
)
@json_option
@click.pass_obj
def install(settings: Settings, requirement: str, upgrade: bool, wheels: Path | None) -> None:
    """Install a plugin into the environment of this hermesd, and see whether it loads.

    REQUIREMENT is what pip takes: a name, with a version perhaps (acme-jobs==1.2), or the path of a
    wheel. What hermesd itself needs is not changed: a plugin that wants other versions of it is
    refused.
    """
    asked = pip.install(requirement, wheels=wheels, upgrade=upgrade)
    screen = Screen.of(settings)
    shown = [each for each in _as_started(settings) if pip.canonical(each.distribution) in asked]
    if screen.as_json:
        screen.emit(Listed(plugins=shown))
    else:
        _show(screen, shown, nothing="nothing to do: it is there already")
    if asked and not shown:
        raise Failed(exits.DATA, f"{asked[0]} is installed, and is no plugin of hermesd")
    bad = [f"{each.name}: {each.reason}" for each in shown if each.reason]
    if bad:
        raise Failed(exits.REFUSED, "installed, and cannot be used: " + "; ".join(bad))
    if shown:
        screen.note(f"installed; {RESTART}")


@plugins.command()
@click.argument("name")
@json_option
@click.pass_obj
def remove(settings: Settings, name: str) -> None:
    """Remove a plugin, by its own name or that of its distribution.

    What was installed along with it stays.
    """
    chosen = _distribution_of(name)
    pip.remove(chosen)
    screen = Screen.of(settings)
    if screen.as_json:
        screen.emit({"removed": chosen})
    screen.note(f"{chosen} is removed; {RESTART}")


def _distribution_of(name: str) -> str:
    """The distribution of a plugin; raises Failed for what is none, hermesd above all."""
    points = importlib.metadata.entry_points(group=GROUP)
    by_name = {each.name: each.dist.name for each in points if each.dist is not None}
    for plugin, distribution in by_name.items():
        if name == plugin or pip.canonical(name) == pip.canonical(distribution):
            return distribution
    known = ", ".join(sorted(by_name)) or "none"
    raise Failed(exits.NO_INPUT, f"there is no plugin {name!r}; installed are: {known}")


def _as_started(settings: Settings) -> Sequence[PluginInfo]:
    """The plugins as a process finds them that starts now: this one may know older modules."""
    config = [word for path in settings.config_paths for word in ("--config", str(path))]
    argv = [sys.executable, "-m", "hermesd.cli", *config, "plugins", "list", "--json"]
    ended = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=LOOK_SECONDS, check=False
    )
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip()
        raise Failed(exits.REFUSED, f"installed, but whether it loads cannot be seen: {said}")
    return msgspec.json.decode(ended.stdout, type=Listed).plugins


def _show(screen: Screen, found: Sequence[PluginInfo], *, nothing: str) -> None:
    rows = (
        (each.name, str(each.status), each.version, each.distribution, " ".join(each.types))
        for each in found
    )
    columns = ("plugin", "status", "version", "distribution", "types")
    screen.table(columns, rows, nothing=nothing)


def _loaded(settings: Settings) -> Catalogue:
    section = load(settings.config_paths, os.environ).plugins
    # A plugin that prints while it is imported must not spoil the answer.
    with contextlib.redirect_stdout(sys.stderr):
        return load_plugins(
            enabled=section.enabled or None, disabled=section.disabled, settings=section.settings
        )
