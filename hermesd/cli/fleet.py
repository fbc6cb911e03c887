"""`hermesd workers`, `types` and `stats`: what there is to run jobs on, and how it is doing."""

from __future__ import annotations

from collections.abc import Mapping

import click

from hermesd.cli.connection import connected
from hermesd.cli.options import json_option
from hermesd.cli.screen import Screen, span
from hermesd.cli.settings import Settings


@click.command()
@json_option
@click.pass_obj
def workers(settings: Settings) -> None:
    """Show the workers and their free slots."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        fleet = client.workers()
    if screen.as_json:
        screen.emit(fleet)
        return
    rows = (
        (
            worker.worker_id,
            worker.status,
            worker.machine,
            worker.address,
            " ".join(f"{kind} {worker.free.get(kind, 0)}/{n}" for kind, n in worker.slots.items()),
            " ".join(worker.queues),
            str(len(worker.types)),
            worker.version,
            screen.when_unix(worker.last_seen_unix),
        )
        for worker in fleet.workers
    )
    columns = ("worker", "status", "machine", "address", "free", "queues", "types", "version")
    screen.table((*columns, "last seen"), rows, nothing="no workers")


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
        ]
    )


def _counts(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in counts.items())
