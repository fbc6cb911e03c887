"""`hermesd drain`: all workers of this host leave, with what becomes of their jobs."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import click

from hermesd.cli import exits
from hermesd.cli.connection import connected
from hermesd.cli.exits import Failed
from hermesd.cli.options import json_option
from hermesd.cli.said import reason_option, said
from hermesd.cli.screen import Screen, span
from hermesd.cli.settings import Settings
from hermesd.client import (
    Client,
    ConnectionFailed,
    DrainForecast,
    OrderAnswer,
    RejectedError,
    WorkerView,
)
from hermesd.core.fleet import WorkerStatus

POLL_SECONDS: Final = 0.5
# Over the drain itself: to report the outcomes, and to say goodbye.
MARGIN_SECONDS: Final = 60.0
COLUMNS: Final = ("worker", "job", "type", "runs for", "needs still", "fate", "why")

at_once_option: Final = click.option(
    "--at-once", is_flag=True, help="Give running jobs back instead of awaiting them."
)
timeout_option: Final = click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait no longer than so; else for what the drain takes at most.",
)


@click.command()
@click.option("--machine", metavar="HOST", help="The workers of another host.")
@reason_option
@at_once_option
@click.option("--dry-run", is_flag=True, help="Only show what would become of the running jobs.")
@click.option("--no-wait", is_flag=True, help="Return when the workers have been told.")
@timeout_option
@json_option
@click.pass_obj
def drain(
    settings: Settings,
    machine: str | None,
    reason: str | None,
    at_once: bool,
    dry_run: bool,
    no_wait: bool,
    timeout_seconds: float | None,
) -> None:
    """Drain all workers of this host, and forecast it first.

    They end their jobs, then their processes. Shown are the jobs that are likely to end in time,
    and those that will be handed on.
    """
    screen, host = Screen.of(settings), machine or socket.gethostname()
    with connected(settings) as client:
        here = _workers_of(client, screen, host)
        if not here:
            return
        drain = Drain(client, screen, timeout_seconds=timeout_seconds, wait=not no_wait)
        if dry_run:
            drain.show_forecasts([worker.incarnation for worker in here])
            return
        which = [worker.incarnation for worker in here]
        drain.run(
            lambda: client.order_workers("drain", {"ids": which}, at_once=at_once, **said(reason)),
            which,
        )


def _workers_of(client: Client, screen: Screen, host: str) -> Sequence[WorkerView]:
    """The workers of a host, at whichever api; none is no fault."""
    there = [worker for worker in client.workers().workers if worker.machine == host]
    if not there:
        screen.note(f"no worker of {host} is registered")
        if screen.as_json:
            screen.emit({"workers": [], "forecasts": [], "left": []})
    return there


class Drain:
    """One drain of some workers: the order, what becomes of their jobs, and the wait."""

    def __init__(
        self, client: Client, screen: Screen, *, timeout_seconds: float | None, wait: bool = True
    ) -> None:
        self._client = client
        self._screen = screen
        self._timeout_seconds = timeout_seconds
        self._wait = wait

    def show_forecasts(self, incarnations: Sequence[str]) -> None:
        """What a drain would come to."""
        forecasts = self._forecasts(incarnations)
        if self._screen.as_json:
            self._screen.emit({"forecasts": forecasts})
        else:
            forecast_table(self._screen, forecasts)

    def run(self, order: Callable[[], OrderAnswer], incarnations: Sequence[str]) -> None:
        """Forecast it, order it and see it through; Failed where somebody is left in the end."""
        role = self._client.health().role
        forecasts = self._forecasts(incarnations)
        if not self._screen.as_json:
            forecast_table(self._screen, forecasts)
        workers = {each.incarnation: each.worker_id for each in order().workers}
        left: Mapping[str, str] = workers
        if self._wait:
            left = self._follow(workers, forecasts, with_api=role == "both")
        if self._screen.as_json:
            self._screen.emit(
                {
                    "workers": sorted(workers.values()),
                    "forecasts": forecasts,
                    "left": sorted(left.values()),
                }
            )
        if left and self._wait:
            names = ", ".join(sorted(left.values()))
            raise Failed(
                exits.TRY_AGAIN,
                f"still draining: {names} (--at-once gives their jobs back)",
                {"slug": "still-draining", "workers": sorted(left.values())},
            )

    def _forecasts(self, incarnations: Sequence[str]) -> list[DrainForecast]:
        """Of those that are there still."""
        found = []
        for incarnation in incarnations:
            try:
                found.append(self._client.drain_forecast(incarnation))
            except RejectedError as fault:
                if fault.status != 404:
                    raise
        return found

    def _follow(
        self, workers: Mapping[str, str], forecasts: Sequence[DrainForecast], *, with_api: bool
    ) -> Mapping[str, str]:
        """Wait until they have gone, or the time has; who is left."""
        most = max((each.drain_seconds for each in forecasts), default=0.0) + MARGIN_SECONDS
        limit = most if self._timeout_seconds is None else self._timeout_seconds
        ends, left, here = time.monotonic() + limit, dict(workers), set[str]()
        far = set[str]()  # known to other apis only, and so not in the process of this one
        with _progress(self._screen) as show:
            while left:
                try:
                    there = {each.incarnation: each for each in self._client.workers().workers}
                except ConnectionFailed:
                    if with_api:  # which was in the same process as one of the workers
                        self._screen.note("the api has ended with its worker")
                        return {each: name for each, name in left.items() if each in far}
                    raise
                registered = {
                    name for name, each in there.items() if each.status != WorkerStatus.ELSEWHERE
                }
                for incarnation in list(left):
                    # The store may list one for a little while yet that has said goodbye here.
                    if incarnation not in there or incarnation in here - registered:
                        self._screen.note(f"{left.pop(incarnation)} has left")
                here |= registered
                far = left.keys() - here
                running = sum(int(there[each].load.get("running", 0)) for each in left)
                show(f"{len(left)} of {len(workers)} workers drain, {running} jobs run still")
                if not left or time.monotonic() >= ends:
                    break
                time.sleep(POLL_SECONDS)
        return left


def forecast_table(screen: Screen, forecasts: Sequence[DrainForecast]) -> None:
    """A row for each running job, and a line on each worker."""
    rows = [
        (
            forecast.worker_id,
            job.id,
            job.type,
            span(job.elapsed_seconds),
            "" if job.remaining_seconds is None else span(job.remaining_seconds),
            job.fate,
            job.why,
        )
        for forecast in forecasts
        for job in forecast.jobs
    ]
    screen.table(COLUMNS, rows, nothing="no job runs")
    for each in forecasts:
        if not each.jobs:
            continue
        screen.note(
            f"{each.worker_id}: within {span(each.drain_seconds)} {each.finishes} jobs are likely "
            f"to end, {each.handed_on} to be handed on, {each.unknown} nobody knows of"
        )


@contextmanager
def _progress(screen: Screen) -> Iterator[Callable[[str], None]]:
    """A line that moves on a terminal's stderr; nothing elsewhere."""
    if screen.as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # here, since it takes longer to load than most commands

    console = Console(stderr=True)
    with console.status("draining") as status:
        yield lambda text: status.update(text)
