"""The options that say which jobs are meant, and what the client is asked for by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

import click

from hermesd.cli.options import Moment, labels_option, with_options
from hermesd.client import Filters, JobFilters
from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from hermesd.core.states import State

F = TypeVar("F", bound=Callable[..., Any])

# What is asked of jobs alone: no message of a broker has it. Each is an option and a member.
_OF_JOBS: Final = (
    click.option(
        "--priority",
        multiple=True,
        type=click.IntRange(LOWEST_PRIORITY, HIGHEST_PRIORITY),
        help="Any of these priorities.",
    ),
    labels_option("Only with this label; may be repeated."),
    click.option("--worker", help="Only those this worker has or had."),
    click.option("--after", type=Moment(), help="Created after this (or: at most so long ago)."),
    click.option("--before", type=Moment(), help="Created before this (or: longer ago)."),
    click.option("--finished-after", type=Moment(), help="Ended after this."),
    click.option("--finished-before", type=Moment(), help="Ended before this."),
    click.option("--text", help="Within the id, or the error and its traceback."),
    click.option("--error-kind", help="Only with this kind of error (timeout, crashed, ...)."),
    click.option("--error", help="Only of this group of `hermesd dlq groups`."),
)
_OF_ALL: Final = (
    click.option(
        "--state", multiple=True, type=click.Choice([str(one) for one in State]), help="Any of."
    ),
    click.option("--type", multiple=True, help="Any of these job types."),
    click.option("--queue", multiple=True, help="Any of these queues."),
)


def job_filters(command: F) -> F:
    """The options that choose among all jobs."""
    return with_options(command, *_OF_ALL, *_OF_JOBS)


def job_only_filters(command: F) -> F:
    """Those of them that no message of a broker can be asked for."""
    return with_options(command, *_OF_JOBS)


def filters_of(chosen: Mapping[str, Any]) -> JobFilters:
    """The members of a filter that were given on the command line."""
    given = {("label" if name == "labels" else name): value for name, value in chosen.items()}
    # A group's error can be empty.
    asked = (each for each in given.items() if each[1] or each == ("error", ""))
    return cast(JobFilters, dict(asked))


def job_only(filters: Filters) -> bool:
    """Whether something is asked for that no message of a broker has."""
    return bool(filters.keys() - {"type", "queue"})
