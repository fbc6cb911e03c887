"""The live line of `hermesd bench` on a terminal's stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from hermesd.bench import Plan, Tally


@contextmanager
def progress(plan: Plan) -> Iterator[Callable[[Tally, float], None]]:
    """Shows a line until the context is left; what is yielded brings it up to date."""
    total = plan.jobs if plan.duration_seconds is None else plan.duration_seconds
    shown = Progress(
        SpinnerColumn(),
        BarColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with shown:
        task = shown.add_task("connecting", total=total)

        def show(tally: Tally, now: float) -> None:
            done: float = tally.accepted_jobs + tally.refused_jobs
            if plan.duration_seconds is not None:
                done = min(now - tally.began, plan.duration_seconds)
            shown.update(task, completed=done, description=_line(tally))

        yield show


def _line(tally: Tally) -> str:
    seconds = tally.last_answer - tally.began
    rate = tally.accepted_jobs / seconds if seconds > 0 else 0.0
    parts = [f"{tally.accepted_jobs:,} accepted, {rate:,.0f}/s"]
    for name, count in (
        ("recorded", tally.recorded_jobs),
        ("errors", sum(tally.errors.values())),
        ("retries", sum(tally.retries.values())),
    ):
        if count:
            parts.append(f"{count:,} {name}")
    return ", ".join(parts)
