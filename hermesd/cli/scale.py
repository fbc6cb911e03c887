"""`hermesd scale`: so many instances of the worker role, as systemd units of this host."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from hermesd.cli import exits
from hermesd.cli.exits import Failed
from hermesd.cli.options import json_option
from hermesd.cli.scaling import Plan, Unit, listed, plan
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings

MAX_INSTANCES: Final = 256
ASK_SECONDS: Final = 30.0
_BOOTED: Final = Path("/run/systemd/system")  # sd_booted(3)


@click.command()
@click.argument("role", type=click.Choice(["worker"]))
@click.argument("number", type=click.IntRange(0, MAX_INSTANCES))
@click.option("--dry-run", is_flag=True, help="Only print the commands.")
@json_option
@click.pass_obj
def scale(settings: Settings, role: str, number: int, dry_run: bool) -> None:
    """Run so many workers on this host, as systemd units.

    They are hermesd@worker-1 to hermesd@worker-NUMBER: missing ones are enabled and started,
    surplus ones drain and are disabled. hermesd@worker itself is neither counted nor touched.
    """
    screen = Screen.of(settings)
    if not _BOOTED.is_dir():
        raise Failed(
            exits.NOT_REACHED,
            "systemd does not run this host, so there are no units to scale: start more workers "
            "by `hermesd serve --role worker`, or scale the deployment that runs them",
            {"slug": "no-systemd"},
        )
    wanted = plan(role, number, _units(role))
    if not dry_run:
        for command in wanted.commands:
            screen.note(shlex.join(command))
            _run(command)
    _told(screen, wanted, done=not dry_run)


def _units(role: str) -> list[Unit]:
    pattern = f"hermesd@{role}-*.service"
    text = _ask("list-units", "--all", "--plain", "--no-legend", "--full", pattern)
    known = listed(role, text)
    if not known:
        return []
    # A line each, in order; its status only says whether all of them are.
    states = _ask("is-enabled", *(name for name, _ in known)).split()
    enabled = [state == "enabled" for state in states] + [False] * len(known)
    return [
        Unit(name, active, is_enabled)
        for (name, active), is_enabled in zip(known, enabled, strict=False)
    ]


def _ask(*arguments: str) -> str:
    """What systemctl prints; raises Failed where it cannot be run."""
    command = ("systemctl", *arguments)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        told = f"no answer from `{shlex.join(command)}` within {ASK_SECONDS:g} s"
        raise Failed(exits.TRY_AGAIN, told, {"slug": "systemd"}) from None
    return done.stdout


def _run(command: Sequence[str]) -> None:
    """Run it for as long as it takes: starts and stops have their own limits in the units."""
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip() or f"status {done.returncode}"
        raise Failed(
            exits.REFUSED,
            f"{shlex.join(command)}: {why} (journalctl -u UNIT says more)",
            {"slug": "systemd", "command": list(command)},
        )


def _told(screen: Screen, wanted: Plan, *, done: bool) -> None:
    if screen.as_json:
        members = {"started": wanted.starts, "stopped": wanted.stops, "commands": wanted.commands}
        screen.emit({"done": done, **members})
        return
    if not done:
        for command in wanted.commands:
            screen.line(shlex.join(command))
    if not wanted.commands:
        screen.note("it is so already")
