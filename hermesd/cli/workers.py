"""`hermesd workers`: list them, pause, resume and drain them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from hermesd.cli.connection import connected
from hermesd.cli.drain import Drain, at_once_option, forecast_table, timeout_option
from hermesd.cli.options import json_option, labels_option, with_options
from hermesd.cli.said import reason_option, said
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.client import OrderAnswer, Which, WorkerView

F = TypeVar("F", bound=Callable[..., Any])

COLUMNS: Final = (
    *("worker", "status", "machine", "address", "free", "queues", "types", "version"),
    *("last seen", "since", "why"),
)


def _which_options(command: F) -> F:
    """Ids, or which of all."""
    return with_options(
        command,
        click.argument("ids", metavar="[ID]...", nargs=-1),
        labels_option("All with this label; may be repeated."),
        click.option("--machine", metavar="HOST", help="All of this host."),
        click.option("--all", "everything", is_flag=True, help="All that are registered."),
    )


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def workers(ctx: click.Context) -> None:
    """Show, pause, resume and drain the workers.

    Without a command it shows them with their free slots. A worker is named by its id or its
    incarnation.
    """
    if ctx.invoked_subcommand is None:
        _show_all(ctx.obj)


@workers.command("list")
@json_option
@click.pass_obj
def list_(settings: Settings) -> None:
    """Show the workers and their free slots."""
    _show_all(settings)


@workers.command()
@_which_options
@reason_option
@json_option
@click.pass_obj
def pause(settings: Settings, /, reason: str | None, **chosen: Any) -> None:
    """Let workers take no new jobs until they are resumed; what they run goes on."""
    _order(settings, "pause", _which(**chosen), reason)


@workers.command()
@_which_options
@reason_option
@json_option
@click.pass_obj
def resume(settings: Settings, /, reason: str | None, **chosen: Any) -> None:
    """Let paused workers take jobs again."""
    _order(settings, "resume", _which(**chosen), reason)


@workers.command()
@_which_options
@reason_option
@at_once_option
@click.option("--wait", is_flag=True, help="Return when they are gone.")
@timeout_option
@json_option
@click.pass_obj
def drain(
    settings: Settings,
    /,
    reason: str | None,
    at_once: bool,
    wait: bool,
    timeout_seconds: float | None,
    **chosen: Any,
) -> None:
    """Let workers end their jobs and then their processes, as SIGTERM does."""
    which = _which(**chosen)
    screen = Screen.of(settings)
    with connected(settings) as client:
        if not wait:
            answer = client.order_workers("drain", which, at_once=at_once, **said(reason))
            _told(screen, answer)
            return
        meant = [each.incarnation for each in client.workers().workers if _fits(each, which)]
        Drain(client, screen, timeout_seconds=timeout_seconds).run(
            lambda: client.order_workers("drain", which, at_once=at_once, **said(reason)), meant
        )


@workers.command()
@click.argument("worker_id", metavar="ID")
@json_option
@click.pass_obj
def forecast(settings: Settings, worker_id: str) -> None:
    """Show what a drain of a worker would come to: which jobs end, which are handed on."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        found = client.drain_forecast(worker_id)
    if screen.as_json:
        screen.emit(found)
    else:
        forecast_table(screen, [found])


def _which(
    ids: tuple[str, ...], labels: Mapping[str, str], machine: str | None, everything: bool
) -> Which:
    if [bool(ids), bool(labels) or machine is not None, everything].count(True) != 1:
        raise click.UsageError("say which workers: ids, --label and --machine, or --all")
    return {"ids": ids, "label": labels, "machine": machine, "everything": everything}


def _fits(worker: WorkerView, which: Which) -> bool:
    """As the api decides it."""
    if ids := which.get("ids"):
        return worker.worker_id in ids or worker.incarnation in ids
    machine, labels = which.get("machine"), which.get("label") or {}
    return (
        machine is None or worker.machine == machine
    ) and labels.items() <= worker.labels.items()


def _order(settings: Settings, kind: str, which: Which, reason: str | None) -> None:
    screen = Screen.of(settings)
    with connected(settings) as client:
        _told(screen, client.order_workers(kind, which, **said(reason)))


def _told(screen: Screen, answer: OrderAnswer) -> None:
    if screen.as_json:
        screen.emit(answer)
        return
    for worker in answer.workers:
        screen.line(f"{worker.worker_id} {worker.status}")
        if not worker.taken:
            screen.note(
                f"{worker.worker_id} has not confirmed yet: it gets no jobs from this api, and "
                "will be told at its next heartbeat"
            )


def _show_all(settings: Settings) -> None:
    screen = Screen.of(settings)
    with connected(settings) as client:
        fleet = client.workers()
    if screen.as_json:
        screen.emit(fleet)
        return
    screen.table(COLUMNS, (_row(screen, each) for each in fleet.workers), nothing="no workers")


def _row(screen: Screen, worker: WorkerView) -> tuple[str, ...]:
    return (
        worker.worker_id,
        worker.status,
        worker.machine,
        worker.address,
        " ".join(f"{kind} {worker.free.get(kind, 0)}/{n}" for kind, n in worker.slots.items()),
        " ".join(worker.queues),
        str(len(worker.types)),
        worker.version,
        screen.when_unix(worker.last_seen_unix),
        screen.when_unix(worker.since_unix or 0.0),
        worker.reason,
    )
