"""`hermesd schedules`: list, show, add, pause, resume, trigger, delete, next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypedDict, Unpack

import click

from hermesd.cli.connection import connected
from hermesd.cli.options import Priority, json_option, labels_option
from hermesd.cli.screen import Screen, span
from hermesd.cli.settings import Settings
from hermesd.cli.submit import read_payload
from hermesd.cli.tables import priority_text, raw_text
from hermesd.client import Client, ScheduleOptions, ScheduleView
from hermesd.core.schedule import Misfire, Overlap

COLUMNS: Final = ("name", "cron", "time zone", "type", "source", "state", "next fire")
MAX_FIRES: Final = 100


_if_match_option = click.option(
    "--if-match", metavar="ETAG", help="Only if it has this etag still, which `show` tells."
)


@click.group()
def schedules() -> None:
    """List, make, pause and trigger schedules."""


@schedules.command("list")
@json_option
@click.pass_obj
def list_(settings: Settings) -> None:
    """List the schedules by name."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        found = client.schedules()
    if screen.as_json:
        screen.emit(found)
        return
    rows = (
        (
            each.name,
            each.cron,
            each.timezone,
            each.type,
            each.source,
            _state(each),
            screen.when(each.next_fire),
        )
        for each in found.schedules
    )
    screen.table(COLUMNS, rows, nothing="no schedules")


@schedules.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(settings: Settings, name: str) -> None:
    """Show everything about one schedule, with its next and last fires."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        schedule = client.schedule(name)
    _show(screen, schedule)


@schedules.command("next")
@click.argument("name")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, MAX_FIRES),
    default=5,
    show_default=True,
    help="So many fires.",
)
@json_option
@click.pass_obj
def next_(settings: Settings, name: str, count: int) -> None:
    """Show when a schedule fires next."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        schedule = client.schedule(name, next_fires=count, last_fires=0)
    if screen.as_json:
        screen.emit({"next_fires": schedule.next_fires})
        return
    for time in schedule.next_fires:
        screen.line(screen.when(time))
    if not schedule.next_fires:
        screen.note("it is paused" if schedule.paused else "never")


class AddOptions(TypedDict):
    """The options of `schedules add` that go to the api as they are."""

    timezone: str | None
    queue: str | None
    priority: int | str | None
    max_attempts: int | None
    timeout: float | None
    labels: dict[str, str]
    jitter_seconds: float | None
    misfire: str | None
    misfire_grace_seconds: float | None
    catch_up_limit: int | None
    overlap: str | None
    description: str | None


@schedules.command()
@click.argument("name")
@click.argument("cron")
@click.argument("job_type", metavar="TYPE")
@click.argument("payload", required=False)
@click.option("--timezone", metavar="ZONE", help="Like Europe/Berlin; UTC if left out.")
@click.option("--queue", help="Named queue; else the type's, else `default`.")
@click.option("--priority", type=Priority(), metavar="0-10|LEVEL", help="10 first.")
@click.option("--max-attempts", type=int, help="Attempts in all before a job is dead.")
@click.option("--timeout", type=float, metavar="SECONDS", help="How long one attempt may run.")
@labels_option("A label of its jobs; may be repeated.")
@click.option(
    "--jitter", "jitter_seconds", type=float, metavar="SECONDS", help="Start up to so much later."
)
@click.option(
    "--misfire", type=click.Choice([str(each) for each in Misfire]), help="What of missed fires."
)
@click.option(
    "--misfire-grace",
    "misfire_grace_seconds",
    type=float,
    metavar="SECONDS",
    help="Late, not yet missed.",
)
@click.option("--catch-up-limit", type=int, help="Of missed fires run so many at most.")
@click.option(
    "--overlap",
    type=click.Choice([str(each) for each in Overlap]),
    help="Whether to fire while the last job has not ended.",
)
@click.option("--description", help="For people.")
@click.option("--replace", is_flag=True, help="Replace a schedule of that name.")
@_if_match_option
@json_option
@click.pass_obj
def add(
    settings: Settings,
    name: str,
    cron: str,
    job_type: str,
    payload: str | None,
    replace: bool,
    if_match: str | None,
    **options: Unpack[AddOptions],
) -> None:
    """Make schedule NAME, which submits a job of TYPE with PAYLOAD at the times of CRON.

    CRON is five fields ("30 2 * * *"), @hourly, @daily, @weekly, @monthly or @yearly, or
    "@every 1h30m". PAYLOAD is a JSON text, @FILE, or - for stdin; {} if left out.
    --if-match replaces a schedule, as --replace does.
    """
    screen = Screen.of(settings)
    text = read_payload(payload)
    given: ScheduleOptions = {**options, "labels": options["labels"] or None}
    with connected(settings) as client:
        schedule = client.make_schedule(
            name, cron, job_type, text, replace=replace, if_match=if_match, **given
        )
    _done(screen, schedule)


@schedules.command()
@click.argument("name")
@json_option
@click.pass_obj
def pause(settings: Settings, name: str) -> None:
    """Let a schedule fire no more until it is resumed."""
    _order(settings, Client.pause_schedule, name)


@schedules.command()
@click.argument("name")
@json_option
@click.pass_obj
def resume(settings: Settings, name: str) -> None:
    """Let a paused schedule fire again, from now on."""
    _order(settings, Client.resume_schedule, name)


@schedules.command()
@click.argument("name")
@json_option
@click.pass_obj
def trigger(settings: Settings, name: str) -> None:
    """Submit a schedule's job now, beside its own times; prints the job's id."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        job = client.trigger_schedule(name)
    if screen.as_json:
        screen.emit({"job": job})
    else:
        screen.line(job.id)


@schedules.command()
@click.argument("name")
@_if_match_option
@json_option
@click.pass_obj
def delete(settings: Settings, name: str, if_match: str | None) -> None:
    """Delete a schedule; its jobs stay."""
    screen = Screen.of(settings)
    with connected(settings) as client:
        schedule = client.delete_schedule(name, if_match=if_match)
    if screen.as_json:
        screen.emit({"schedule": schedule})
    else:
        screen.line(f"{schedule.name} deleted")


def _order(settings: Settings, order: Callable[[Client, str], ScheduleView], name: str) -> None:
    with connected(settings) as client:
        schedule = order(client, name)
    _done(Screen.of(settings), schedule)


def _done(screen: Screen, schedule: ScheduleView) -> None:
    """The schedule as it is now, in a line."""
    if screen.as_json:
        screen.emit({"schedule": schedule})
        return
    soon = f", next fire {screen.when(schedule.next_fire)}" if schedule.next_fire else ""
    screen.line(f"{schedule.name} {_state(schedule)}{soon}")


def _show(screen: Screen, schedule: ScheduleView) -> None:
    if screen.as_json:
        screen.emit({"schedule": schedule})
        return
    priority = schedule.priority
    named = priority_text(priority) if isinstance(priority, int) else priority or ""
    fires = [
        f"{screen.when(fire.time)} {fire.kind} {fire.job_id or ''}".rstrip()
        for fire in schedule.last_fires
    ]
    screen.record(
        [
            ("name", schedule.name),
            ("cron", schedule.cron),
            ("time zone", schedule.timezone),
            ("state", _state(schedule)),
            ("source", schedule.source),
            ("revision", str(schedule.revision)),
            ("etag", schedule.etag),
            ("type", schedule.type),
            ("payload", raw_text(schedule.raw_payload)),
            ("queue", schedule.queue or ""),
            ("priority", named),
            ("max attempts", str(schedule.max_attempts or "")),
            ("timeout", "" if schedule.timeout is None else span(schedule.timeout)),
            ("labels", " ".join(f"{key}={value}" for key, value in schedule.labels.items())),
            ("jitter", span(schedule.jitter_seconds) if schedule.jitter_seconds else ""),
            ("missed after", span(schedule.misfire_grace_seconds)),
            ("if missed", _misfire(schedule)),
            ("overlap", schedule.overlap),
            ("description", schedule.description),
            ("created", screen.when(schedule.created_at)),
            ("updated", screen.when(schedule.updated_at)),
            ("next fires", "\n".join(screen.when(time) for time in schedule.next_fires)),
            ("last fires", "\n".join(fires)),
        ]
    )


def _state(schedule: ScheduleView) -> str:
    return "paused" if schedule.paused else "active"


def _misfire(schedule: ScheduleView) -> str:
    if schedule.misfire == Misfire.CATCH_UP:
        return f"{schedule.misfire}, at most {schedule.catch_up_limit}"
    return schedule.misfire
