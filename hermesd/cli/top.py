"""`hermesd top`: the deployment at a glance, live on a terminal."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import click

from hermesd.cli.connection import api_url, connected
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.cli.top_known import LIVE, SHOWN_JOBS, Known
from hermesd.client import Client, calls


@click.command()
@click.option("--once", is_flag=True, help="Print it once, and end.")
@json_option
@click.pass_obj
def top(settings: Settings, once: bool) -> int:
    """Watch workers, queues, rates and failures, and act on them.

    Live on a terminal (? shows the keys); elsewhere, and with --once or --json, it is printed once.
    """
    output = Screen.of(settings)
    if output.terminal and sys.stdin.isatty() and _capable() and not (once or output.as_json):
        from hermesd.cli.top_live import watch  # needs trio, which one print does not

        return watch(api_url(settings))
    now = datetime.now(UTC)
    known = Known(api_url(settings), now)
    with connected(settings) as client:
        _ask(client, known)
    if output.as_json:
        output.emit(known.snapshot(now))
    else:
        from hermesd.cli.top_once import print_once

        print_once(known, now)
    return 0


def _capable() -> bool:
    return os.environ.get("TERM", "dumb") not in ("", "dumb")


def _ask(client: Client, known: Known) -> None:
    known.stats = client.stats()
    known.take_workers(client.workers())
    known.take_queues(client.queues())
    known.jobs = client.jobs(state=LIVE, limit=SHOWN_JOBS).jobs
    known.failures = client.call(calls.dlq({}, limit=SHOWN_JOBS)).jobs
    known.answered("all", datetime.now(UTC))
