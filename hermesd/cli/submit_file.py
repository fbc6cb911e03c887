"""`hermesd submit --file`: a job a line, in batches that are recorded whole or not at all.

Every job has an idempotency key, by default one of the run and its line: what was recorded before
an interruption is known when the file is submitted once more, and is not recorded twice.
"""

from __future__ import annotations

import os
import stat
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

import click
import msgspec

from hermesd.cli import exits
from hermesd.cli.connection import connected, ended_by
from hermesd.cli.exits import Failed
from hermesd.cli.parts import counted_jobs
from hermesd.cli.screen import Screen
from hermesd.cli.settings import Settings
from hermesd.client import (
    ApiError,
    BatchSubmission,
    Client,
    ClientError,
    NewJob,
    UnavailableError,
)

BATCH_JOBS: Final = 500
BATCH_BYTES: Final = 1024 * 1024
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
TOO_LARGE: Final = 413
MAX_TOLD: Final = 10  # lines
PAUSE_SECONDS: Final = 1.0  # before a full queue is tried again, where the api names no time


class FileJob(NewJob, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A job as a line says it: the members of POST /jobs, `type` at least."""

    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    labels: dict[str, str] | None = None
    run_at: str | None = None


class Line(NamedTuple):
    """A job, the number of its line from 1 on, and where in the file the line ends."""

    number: int
    job: FileJob
    end: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be submitted: a file (`-`: stdin) from line `first` on.

    `key` begins the keys of jobs that have none. `patience_seconds` is how long a full queue is
    waited for.
    """

    path: str
    first: int
    key: str
    patience_seconds: float


class Sum(msgspec.Struct, kw_only=True):
    """What became of it until now; `last_line` is the last one that is recorded."""

    key: str
    jobs: int = 0
    direct: int = 0
    queued: int = 0
    repeated: int = 0
    last_line: int = 0

    def add(self, answer: BatchSubmission, last_line: int) -> None:
        """One more batch is recorded."""
        self.jobs += answer.count
        self.direct += answer.direct
        self.queued += answer.queued
        self.repeated += answer.repeated
        self.last_line = last_line


def order_of(path: str, first: int, key: str | None, patience_seconds: float) -> Order:
    """With a key of its own where none was given."""
    return Order(
        path=path, first=first, key=key or uuid.uuid4().hex, patience_seconds=patience_seconds
    )


def submit_file(settings: Settings, order: Order) -> int:
    """Submit all of it and tell; raises Failed that says where it stopped and how to go on."""
    screen = Screen.of(settings)
    total = Sum(key=order.key, last_line=order.first - 1)
    try:
        with _opened(order.path) as file, connected(settings) as client, _bar(screen, file) as move:
            for batch in batches(read_lines(file, order)):
                for part, answer in recorded(client, batch, order.patience_seconds):
                    total.add(answer, part[-1].number)
                    move(part[-1].end, total.jobs)
                    if not (screen.as_json or screen.terminal):  # a script wants the ids
                        click.echo("\n".join(job.id for job in answer.jobs))
    except Failed as error:
        own = {"recorded": total.jobs, "last_line": total.last_line, "key": order.key}
        detail = f"{error.detail}; {_go_on(order, total)}"
        raise Failed(error.exit_code, detail, {**error.members, **own}) from error
    except KeyboardInterrupt:
        screen.note(_go_on(order, total))
        raise
    _told(screen, total)
    return exits.OK


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """As many lines as go into one request."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        if batch and (len(batch) >= BATCH_JOBS or size + line.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line.size
    if batch:
        yield batch


def read_lines(file: IO[bytes], order: Order) -> Iterator[Line]:
    """The jobs from line `first` on; blank lines are none. Raises Failed where a line is no job."""
    number = end = 0
    while text := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        end += len(text)
        if len(text) > MAX_LINE_BYTES:
            raise _refused(number, f"it is over {MAX_LINE_BYTES} bytes")
        if number >= order.first and text.strip():
            yield Line(number, _job(number, text, order.key), end, len(text))


def _job(number: int, text: bytes, key: str) -> FileJob:
    try:
        job = msgspec.json.decode(text, type=FileJob)
    except (ValueError, RecursionError) as error:
        raise _refused(number, str(error)) from None
    if job.idempotency_key:
        return job
    return msgspec.structs.replace(job, idempotency_key=f"{key}:{number}")


def recorded(
    client: Client, batch: list[Line], patience_seconds: float
) -> Iterator[tuple[list[Line], BatchSubmission]]:
    """What the api says to the batch, in parts where it is too large for it; raises Failed."""
    parts = deque([batch])
    while parts:
        part = parts.popleft()
        try:
            yield part, _patiently(client, part, patience_seconds)
        except ClientError as fault:
            if not (isinstance(fault, ApiError) and fault.status == TOO_LARGE and len(part) > 1):
                raise _stopped_at(part, fault) from fault
            half = len(part) // 2
            parts.extendleft((part[half:], part[:half]))


def _patiently(client: Client, part: list[Line], seconds: float) -> BatchSubmission:
    """Again and again while the queue is full, for at most so long."""
    until = time.monotonic() + seconds
    while True:
        try:
            return client.submit_batch([line.job for line in part])
        except UnavailableError as fault:
            pause = fault.retry_after_seconds or PAUSE_SECONDS
            if time.monotonic() + pause > until:
                raise
        time.sleep(pause)


def _stopped_at(part: list[Line], fault: ClientError) -> Failed:
    """The fault by the lines of the file, where it is that of single jobs."""
    failed = ended_by(fault)
    errors = fault.extra.get("errors") if isinstance(fault, ApiError) else None
    told: list[str] = []
    for error in errors[:MAX_TOLD] if isinstance(errors, list) else ():
        place = error.get("index") if isinstance(error, dict) else None
        if isinstance(place, int) and 0 <= place < len(part):
            told.append(f"line {part[place].number}: {error.get('detail', 'refused')}")
    if told:
        failed.detail = "; ".join(told)
    return failed


def _refused(number: int, reason: str) -> Failed:
    return Failed(exits.DATA, f"line {number}: {reason}", {"slug": "line", "line": number})


def _go_on(order: Order, total: Sum) -> str:
    after = total.last_line + 1
    return (
        f"{counted_jobs(total.jobs)} recorded; to go on: --file {order.path} --from-line {after} "
        f"--idempotency-key {order.key}"
    )


def _told(screen: Screen, total: Sum) -> None:
    if screen.as_json:
        screen.emit(total)
        return
    known = f", {total.repeated} of them known already" if total.repeated else ""
    screen.note(f"{counted_jobs(total.jobs)} accepted{known}")


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        yield file


@contextmanager
def _bar(screen: Screen, file: IO[bytes]) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal's stderr, moved by the place in the file and the jobs until there."""
    if screen.as_json or not sys.stderr.isatty():
        yield lambda end, jobs: None
        return
    # Here, since it takes longer to load than most commands take.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    found = os.fstat(file.fileno())
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        size = found.st_size if stat.S_ISREG(found.st_mode) else None
        bar = progress.add_task(counted_jobs(0), total=size)

        def move(end: int, jobs: int) -> None:
            progress.update(bar, completed=end, description=counted_jobs(jobs))

        yield move
