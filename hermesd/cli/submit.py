"""`hermesd submit`: one job, and with --wait its end; with --file many."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from hermesd.cli import exits
from hermesd.cli.connection import connected
from hermesd.cli.exits import Failed
from hermesd.cli.follow import Watcher
from hermesd.cli.options import Later, Priority, json_option, labels_option
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.cli.tables import state_text
from hermesd.client import Client, JobView, Submission
from hermesd.client.encoding import json_text
from hermesd.core.errors import InvalidValue
from hermesd.core.job import PRIORITY_LEVELS
from hermesd.core.states import State

MAX_PAYLOAD_BYTES: Final = 64 * 1024 * 1024
DEFAULT_WAIT_SECONDS: Final = 60.0
DEFAULT_PATIENCE_SECONDS: Final = 600.0
_LEVELS: Final = ", ".join(f"{name} is {number}" for name, number in PRIORITY_LEVELS.items())
_POLL_SECONDS: Final = 1.0  # how late news are shown; the end is shown at once


@click.command(short_help="Submit a job, and with --wait see it through; or a file of jobs.")
@click.argument("job_type", metavar="TYPE", required=False)
@click.argument("payload", required=False)
@click.option("--queue", help="Named queue; else the type's, else `default`.")
@click.option("--priority", type=Priority(), metavar="0-10|LEVEL", help=f"10 first; {_LEVELS}.")
@click.option("--max-attempts", type=int, help="Attempts in all before the job is dead.")
@click.option("--timeout", type=float, metavar="SECONDS", help="How long one attempt may run.")
@labels_option("A label; may be repeated.")
@click.option(
    "--at",
    "run_at",
    type=Later(),
    metavar="TIME",
    help="Not before this time: RFC 3339, or from now 90s, 15m, 2h, 7d.",
)
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="The same key is one job, ever; of a file, the same key and line.",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    is_flag=False,
    flag_value=DEFAULT_WAIT_SECONDS,
    metavar="[SECONDS]",
    help=f"Wait for the run's end, {DEFAULT_WAIT_SECONDS:.0f} s unless told.",
)
@click.option(
    "--file",
    "path",
    metavar="FILE",
    help="Submit the jobs of FILE (- is stdin), a JSON object a line, with the members of "
    "POST /jobs.",
)
@click.option(
    "--from-line",
    type=click.IntRange(min=1),
    default=1,
    help="Of a file: begin at this line, where an earlier run stopped.",
)
@click.option(
    "--patience",
    "patience_seconds",
    type=click.FloatRange(min=0, max=86_400),
    default=DEFAULT_PATIENCE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Of a file: how long to wait for room in a full queue.",
)
@json_option
@click.pass_context
def submit(
    ctx: click.Context,
    /,
    path: str | None,
    from_line: int,
    patience_seconds: float,
    **single: Any,
) -> int:
    """Submit a job of TYPE with PAYLOAD: a JSON text, @FILE, or - for stdin; {} if left out.

    Prints the job's id, or with --wait its result; then the exit code is 0 when the job succeeded,
    1 when it failed or was cancelled, 75 when it had not ended in time. With the payload behind it
    write --wait=SECONDS.

    With --file jobs are submitted in batches, each recorded whole or not at all. Where it stops it
    says at which line and how to go on; what was recorded already is not recorded twice. Prints
    the ids to a pipe.
    """
    if path is None:
        if single["job_type"] is None:
            raise click.MissingParameter(ctx=ctx, param_type="argument", param_hint="TYPE")
        return _submit_one(ctx.obj, **single)
    key = single.pop("idempotency_key")
    if any(value is not None and value != {} for value in single.values()):
        raise click.UsageError("beside --file only --idempotency-key, --from-line and --patience")
    # Here, since most submit a single job.
    from hermesd.cli.submit_file import order_of, submit_file

    return submit_file(ctx.obj, order_of(path, from_line, key, patience_seconds))


def _submit_one(
    settings: Settings,
    *,
    job_type: str,
    payload: str | None,
    queue: str | None,
    priority: int | str | None,
    max_attempts: int | None,
    timeout: float | None,
    labels: dict[str, str],
    run_at: datetime | None,
    idempotency_key: str | None,
    wait_seconds: float | None,
) -> int:
    screen = Screen.of(settings)
    text = read_payload(payload)
    with connected(settings) as client:
        submission = client.submit(
            job_type,
            text,
            queue=queue,
            priority=priority,
            max_attempts=max_attempts,
            timeout=timeout,
            labels=labels or None,
            run_at=run_at,
            idempotency_key=idempotency_key,
        )
        if wait_seconds is None:
            _show_submission(screen, submission)
            return exits.OK
        screen.note(_told(submission))
        job = _seen_through(screen, client, submission.job, wait_seconds)
    return _show_end(screen, job)


def read_payload(argument: str | None) -> msgspec.Raw | msgspec.UnsetType:
    """The JSON text that PAYLOAD means; Failed with 65 where it is none."""
    if argument is None:
        return msgspec.UNSET
    if argument == "-":
        source, text = "stdin", sys.stdin.buffer.read(MAX_PAYLOAD_BYTES + 1)
    elif argument.startswith("@"):
        source = argument[1:]
        with Path(source).open("rb") as file:
            text = file.read(MAX_PAYLOAD_BYTES + 1)
    else:
        source, text = "payload", argument.encode("utf-8", "surrogateescape")
    if len(text) > MAX_PAYLOAD_BYTES:
        raise Failed(exits.DATA, f"{source}: over {MAX_PAYLOAD_BYTES} bytes", {"slug": "payload"})
    try:
        return json_text(text.strip())
    except InvalidValue as error:
        detail = f"{source}: {error.detail}" if text.strip() else f"{source}: it is empty"
        raise Failed(exits.DATA, detail, {"slug": "payload"}) from None


def _seen_through(screen: Screen, client: Client, job: JobView, wait_seconds: float) -> JobView:
    """The job at its run's end; what it tells on the way is noted."""
    watcher = Watcher(client, job)

    def tell(now: JobView) -> None:
        if not screen.as_json:
            for line in watcher.news(now):
                screen.note(line)

    if not job.state.terminal:
        job = client.wait(job.id, wait_seconds, poll_seconds=_POLL_SECONDS, on_poll=tell)
        tell(job)
    return job


def _show_submission(screen: Screen, submission: Submission) -> None:
    if screen.as_json:
        screen.emit(submission)
    elif screen.terminal:
        screen.line(_told(submission))
    else:  # a script wants the id
        screen.line(submission.job.id)


def _told(submission: Submission) -> str:
    job = submission.job
    if submission.repeated:
        return f"{job.id} known already by its key, {state_text(job)}"
    if submission.routed == "direct":
        return f"{job.id} accepted, given to {submission.worker_id}"
    return f"{job.id} accepted, queued" + (f": {submission.note}" if submission.note else "")


def _show_end(screen: Screen, job: JobView) -> int:
    good = job.state is State.SUCCEEDED
    if screen.as_json:
        screen.emit({"job": job})
        return exits.OK if good else exits.REFUSED
    if good:
        screen.note(f"{job.id} succeeded")
        screen.json_text(job.raw_result)
        return exits.OK
    reason = f": {job.error.kind}: {job.error.message}" if job.error else ""
    raise Failed(exits.REFUSED, f"job {job.id} {job.state}{reason}")
