"""`hermesd doctor`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click

from hermesd.cli import exits
from hermesd.cli.bridged import run_bridged
from hermesd.cli.connection import configured_url
from hermesd.cli.doctor.configuration import CONFIGURATION
from hermesd.cli.doctor.findings import Finding, Verdict, fail
from hermesd.cli.doctor.patient import Patient
from hermesd.cli.options import URL_KEY, instance_option, json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.config import DEFAULT_PATH, Instance
from hermesd.config.instance import ROLES
from hermesd.config.load import load_with_origins, read_document
from hermesd.core.errors import ConfigError
from hermesd.daemon.role import Role

DEFAULT_SECONDS: Final = 5.0


@click.command(short_help="Say what ails a daemon on this machine, and what mends it.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    help="Which part of the work the daemon has.  [default: both]",
)
@instance_option
@click.option("--user", metavar="NAME", help="Who runs the daemon; else who runs this command.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(min=0, min_open=True, max=600),
    default=DEFAULT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long one check may take; they are made side by side.",
)
@json_option
@click.pass_obj
def doctor(
    settings: Settings,
    role: str | None,
    instance: Instance | None,
    user: str | None,
    seconds: float,
) -> int:
    """Look at all that a daemon needs on this machine: before it starts, or while it runs.

    Each check says ok, warn, fail or skipped, what was seen, and what mends it. Nothing is changed.
    The plugins are imported, as the daemon would import them.

    Exit codes: 0 nothing fails, 1 something does, 64 usage.
    """
    if instance is not None:
        if role is not None:
            raise click.UsageError("--instance says the role already; leave --role out")
        role = instance.role
    screen = Screen.of(settings)
    try:
        patient = _patient(settings, Role(role or Role.BOTH), instance, user, seconds)
    except ConfigError as error:
        remedy = "set it right; then: hermesd config check"
        return _told(screen, [fail(CONFIGURATION, each, remedy) for each in error.problems])
    # Here, since it takes longer to load than most commands take.
    from hermesd.cli.doctor.examine import examine

    # A plugin that prints while it is imported must not spoil the answer.
    with contextlib.redirect_stdout(sys.stderr):
        found = run_bridged(partial(examine, patient))
    return _told(screen, found)


def _patient(
    settings: Settings, role: Role, instance: Instance | None, user: str | None, seconds: float
) -> Patient:
    """Raises ConfigError for a configuration that no daemon would start with."""
    paths, environ = settings.config_paths, dict(os.environ)
    config = load_with_origins(paths, environ, instance=instance).config
    document = read_document(paths, environ, instance=instance)
    url: str = click.get_current_context().meta.get(URL_KEY) or configured_url(config.api)
    return Patient(
        config=config,
        document=document,
        role=role,
        instance=instance,
        files=_files(paths or (DEFAULT_PATH,), instance),
        environ=environ,
        url=url if "://" in url else f"http://{url}",
        user=user,
        seconds=seconds,
    )


def _files(paths: Sequence[Path], instance: Instance | None) -> tuple[Path, ...]:
    own = () if instance is None else (instance.overlay(paths[-1]),)
    return tuple(path for path in (*paths, *own) if path.is_file())


def _told(screen: Screen, found: Sequence[Finding]) -> int:
    counts = Counter(finding.verdict for finding in found)
    if screen.as_json:
        screen.emit({"ok": not counts[Verdict.FAIL], "findings": found})
    else:
        rows = [(finding.verdict, finding.check, finding.seen, finding.remedy) for finding in found]
        screen.table(("verdict", "check", "seen", "remedy"), rows, nothing="")
        told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
        screen.note(told)
    return exits.REFUSED if counts[Verdict.FAIL] else exits.OK
