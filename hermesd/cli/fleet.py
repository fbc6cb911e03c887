"""`hermesd types` and `stats`: what can be run, and how the daemon is doing."""

from __future__ import annotations

from collections.abc import Mapping

import click

from hermesd.cli.connection import connected
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen, span
from hermesd.cli.settings import Settings
from hermesd.client.answers import Quantiles


@click.command()
@json_option
@click.pass_obj
def types(settings: Settings) -> None:
    """Show the job types that can be submitted."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        catalogue = client.types()
    if screen.as_json:
        screen.emit(catalogue)
        return
    rows = (
        (
            each.name,
            each.kind,
            str(each.workers),
            each.source,
            screen.when(each.last_seen),
            each.description.partition("\n")[0],
        )
        for each in catalogue.types
    )
    columns = ("type", "kind", "workers", "source", "last seen", "description")
    screen.table(columns, rows, nothing="no job types")


@click.command()
@json_option
@click.pass_obj
def stats(settings: Settings) -> None:
    """Show what the daemon has done and has to do."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        answer = client.stats()
    if screen.as_json:
        screen.emit(answer)
        return
    # A fleet's last minutes are known some seconds after the start.
    flow = answer.recent_fleet if answer.recent_fleet.window_seconds else answer.recent.all
    screen.record(
        [
            ("api", f"{answer.api} ({answer.role}, {answer.name} {answer.version})"),
            ("up for", span(answer.uptime_seconds)),
            ("rung", answer.rung or ""),
            ("jobs", _counts(answer.jobs)),
            ("waiting", str(answer.waiting.total)),
            ("  by queue", _counts(answer.waiting.by_queue)),
            ("  by priority", _counts(answer.waiting.by_priority)),
            ("workers", _counts(answer.workers)),
            ("since start", _counts(answer.since_start)),
            ("lately, until start", _quantiles(flow.wait)),
            ("lately, in handlers", _quantiles(flow.run)),
        ]
    )


def _quantiles(found: Quantiles | None) -> str:
    if found is None:
        return ""
    return ", ".join(f"{name} {span(getattr(found, name))}" for name in ("p50", "p95", "p99"))


def _counts(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in counts.items())
