"""`hermesd`: the options of every command, and the commands by name."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Final

import click

from hermesd import __version__
from hermesd.cli.group import LazyGroup
from hermesd.cli.options import URL_KEY
from hermesd.cli.settings import Settings

COMMANDS: Final = {
    "serve": ("hermesd.cli.serve:serve", "Run the daemon as api, worker or both."),
    "submit": (
        "hermesd.cli.submit:submit",
        "Submit a job, and with --wait see it through; or a file of jobs.",
    ),
    "jobs": ("hermesd.cli.jobs:jobs", "List, show, cancel and retry jobs."),
    "dlq": ("hermesd.cli.dlq:dlq", "Look at, requeue and purge the dead-letter queue."),
    "schedules": ("hermesd.cli.schedules:schedules", "List, make, pause and trigger schedules."),
    "workers": ("hermesd.cli.workers:workers", "Show, pause, resume and drain the workers."),
    "queues": ("hermesd.cli.queues:queues", "List, pause and resume the named queues."),
    "types": ("hermesd.cli.fleet:types", "Show the job types that can be submitted."),
    "stats": ("hermesd.cli.fleet:stats", "Show what the daemon has done and has to do."),
    "top": ("hermesd.cli.top:top", "Watch workers, queues, rates and failures, and act on them."),
    "drain": ("hermesd.cli.drain:drain", "Drain all workers of this host, and forecast it first."),
    "scale": ("hermesd.cli.scale:scale", "Run so many workers on this host, as systemd units."),
    "events": ("hermesd.cli.events:events", "Show what happened last, or --follow it."),
    "bench": ("hermesd.cli.bench:bench", "Put load on a running deployment and report how it did."),
    "config": ("hermesd.cli.config:config", "Check, show, write and change the configuration."),
    "db": (
        "hermesd.cli.db:db",
        "Upgrade the store's schema, show its version, check the database, or renew its identity.",
    ),
    "health": ("hermesd.cli.health:health", "Ask the daemon on this host how it is."),
    "broker": ("hermesd.cli.broker:broker", "Check a message broker before it is relied on."),
    "topology": ("hermesd.cli.topology:topology", "Create, check or show the broker's queues."),
    "plugins": (
        "hermesd.cli.plugins:plugins",
        "Show the installed plugins and what ails them; install and remove some.",
    ),
    "doctor": (
        "hermesd.cli.doctor.command:doctor",
        "Say what ails a daemon on this machine, and what mends it.",
    ),
    "completion": (
        "hermesd.cli.completion:completion",
        "Print what completes commands in a shell.",
    ),
    "manpage": (
        "hermesd.cli.manpage:manpage",
        "Print the manual page, hermesd(1) or hermes.toml(5).",
    ),
    "version": ("hermesd.cli.version:version", "Show the version."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 the job failed or the api refused, 64 usage, 65 bad payload, "
    "66 no such file, 69 api or broker not reached, 70 internal error, 75 try again later, "
    "76 not a hermesd api, 77 not permitted, 78 configuration.",
)
@click.option(
    "-c",
    "--config",
    "config_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    envvar="HERMES_CONFIG",
    help="Configuration file; may be repeated, later ones win. "
    "[env HERMES_CONFIG; default /etc/hermes.toml]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, errors too.")
@click.option(
    "--url",
    envvar="HERMES_URL",
    help="Where the api is. [env HERMES_URL; default from the configuration]",
)
@click.version_option(__version__, prog_name="hermesd", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, config_paths: tuple[Path, ...], as_json: bool, url: str | None) -> None:
    """A distributed job-processing daemon, and the commands to work with it."""
    ctx.obj = Settings(config_paths=config_paths, json=as_json)
    ctx.meta[URL_KEY] = url


def main() -> None:
    """The entry point of the `hermesd` command; never returns."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # replaced by something that cannot
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # see above
    cli(prog_name="hermesd")
