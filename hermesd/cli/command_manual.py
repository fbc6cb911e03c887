"""hermesd(1), from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

import click

from hermesd import __version__
from hermesd.cli import exits
from hermesd.cli.roff import Page
from hermesd.config import DEFAULT_PATH

NAME: Final = "hermesd"

EXIT_STATUS: Final = {
    exits.OK: "Done. A daemon: stopped as it was told.",
    exits.REFUSED: "The job failed, the api refused, or what was checked is not well.",
    exits.USAGE: "The command line is wrong.",
    exits.DATA: "A payload is no JSON, or too large.",
    exits.NO_INPUT: "A file that was named is not there.",
    exits.NOT_REACHED: "The api or the broker was not reached. A daemon: a port or the store "
    "cannot be had.",
    exits.INTERNAL: "A defect of hermesd.",
    exits.SYSTEM: "The operating system refused something.",
    exits.TRY_AGAIN: "Not now: try again later. A daemon: it wants to be started again.",
    exits.PROTOCOL: "What answered is no hermesd api.",
    exits.PERMISSION: "Not permitted.",
    exits.CONFIG: "The configuration is wrong; starting again does not help.",
    exits.INTERRUPTED: "Ended by Ctrl-C.",
    exits.PIPE_CLOSED: "Whoever read the output has left.",
}
ENVIRONMENT: Final = {
    "HERMES_CONFIG": "The configuration's files, parted by colons, in place of --config.",
    "HERMES_URL": "Where the api is, in place of --url.",
    "HERMES_BROKER_URL": "Which broker `hermesd broker check` asks.",
    "HERMES_SECTION__KEY": "Any key of the configuration, like HERMES_API__PORT for api.port.",
    "CREDENTIALS_DIRECTORY": "Where files of secrets are looked for first; systemd sets it.",
    "LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID": "Listening sockets that systemd passes to an api: "
    "http and control.",
    "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID": "Whom a daemon tells that it is ready, and that "
    "it is well; systemd sets them.",
    "SSL_CERT_FILE, SSL_CERT_DIR": "The authorities that certificates are checked against.",
    "NO_COLOR": "If it is set, nothing is coloured. Output that goes to no terminal never is.",
    "TZ": "The time zone in which times are shown, and read where they name none.",
}
FILES: Final = {
    str(DEFAULT_PATH): "The configuration; see hermes.toml(5).",
    f"{DEFAULT_PATH.with_suffix('.d')}/INSTANCE.toml": "What differs for one daemon of several on "
    "a machine, like worker-2.",
    "/var/lib/hermesd/hermes.db": "The jobs, where the configuration names no other store. An api "
    "holds the lock file beside it.",
    "/etc/credstore/hermesd.*": "Secrets, which systemd hands to the units.",
}
SIGNALS: Final = {
    "SIGTERM, SIGINT": "Drain: take nothing new, let running jobs end (drain.seconds), hand back "
    "the others, report, exit. The second one hands all of them back at once.",
    "SIGHUP": "Read the configuration again. What needs a restart is told in the log, and a wrong "
    "configuration leaves the old one in effect.",
}


def command_page(root: click.Command) -> str:
    """The page of all commands below `root`."""
    page = Page(NAME, 1, source=f"{NAME} {__version__}", manual="User Commands")
    context = click.Context(root, info_name=NAME)
    page.section("NAME")
    page.line("hermesd - a distributed job-processing daemon, and the commands to work with it")
    page.section("SYNOPSIS")
    page.line(_usage(context))
    page.section("DESCRIPTION")
    _help(page, root)
    page.section("OPTIONS")
    _options(page, context)
    page.section("COMMANDS")
    for each in commands(context):
        page.part(each.command_path)
        page.line(_usage(each))
        _help(page, each.command)
        _options(page, each)
    for title, entries in (
        ("EXIT STATUS", {str(code): about for code, about in EXIT_STATUS.items()}),
        ("ENVIRONMENT", ENVIRONMENT),
        ("FILES", FILES),
        ("SIGNALS", SIGNALS),
    ):
        page.section(title)
        for tag, about in entries.items():
            page.entry([tag], about)
    page.section("SEE ALSO")
    page.line("hermes.toml(5), systemctl(1), journalctl(1), systemd.exec(5)")
    return page.text()


def commands(context: click.Context) -> Iterator[click.Context]:
    """Every command that can be run, in the order in which they are told, groups opened."""
    group = context.command
    if not isinstance(group, click.Group):
        yield context
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield from commands(click.Context(command, parent=context, info_name=name))


def _usage(context: click.Context) -> str:
    return f"{context.command_path} {' '.join(context.command.collect_usage_pieces(context))}"


def _help(page: Page, command: click.Command) -> None:
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    page.paragraphs(re.sub(r"^\b\n", "", text, flags=re.MULTILINE))


def _options(page: Page, context: click.Context) -> None:
    """All but --help; arguments are in the usage, and said of in the text."""
    helping = set(context.command.get_help_option_names(context))
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1] and not helping & set(parameter.opts):
            page.entry([record[0]], record[1])
