"""The methods of a client about many jobs at once, for threads and scripts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar, Unpack

from hermesd.client import bulk, calls
from hermesd.client.answers import JobPage
from hermesd.client.bulk import Asking, JobSelection, PartT, Progress, Selection
from hermesd.client.calls import Call, DlqFilters, Filters
from hermesd.client.dead import Changed, ErrorGroupList, Purged, Requeued

A = TypeVar("A")


class Calls(Protocol):
    """Who makes calls."""

    def call(self, call: Call[A]) -> A:
        """The answer."""


class BulkInThreads:
    """Mixed into Client."""

    def dlq(
        self: Calls,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        **filters: Unpack[DlqFilters],
    ) -> JobPage:
        """One page of the dead-letter queue, newest first."""
        return self.call(calls.dlq(filters, cursor=cursor, limit=limit))

    def dlq_groups(
        self: Calls, *, limit: int | None = None, **filters: Unpack[Filters]
    ) -> ErrorGroupList:
        """The dead-letter queue by type and error; the filters that are known there."""
        return self.call(calls.dlq_groups(filters, limit=limit))

    def retry_jobs(
        self: Calls,
        *,
        dry_run: bool = False,
        on_part: Callable[[Changed], None] | None = None,
        **selection: Unpack[JobSelection],
    ) -> Changed:
        """New runs of failed jobs (or of `state="scheduled"`: due now); `dry_run` only counts.

        `on_part` sees the sum so far after each part.
        """
        return in_parts(self, bulk.retry_jobs(selection, dry_run=dry_run), on_part)

    def cancel_jobs(
        self: Calls,
        *,
        dry_run: bool = False,
        on_part: Callable[[Changed], None] | None = None,
        **selection: Unpack[JobSelection],
    ) -> Changed:
        """Cancels waiting jobs and asks running ones to end; see `retry_jobs`."""
        return in_parts(self, bulk.cancel_jobs(selection, dry_run=dry_run), on_part)

    def dlq_requeue(
        self: Calls,
        *,
        dry_run: bool = False,
        on_part: Callable[[Requeued], None] | None = None,
        **selection: Unpack[Selection],
    ) -> Requeued:
        """Starts a new run of dead jobs; see `retry_jobs`."""
        return in_parts(self, bulk.dlq_requeue(selection, dry_run=dry_run), on_part)

    def dlq_purge(
        self: Calls,
        *,
        dry_run: bool = False,
        on_part: Callable[[Purged], None] | None = None,
        **selection: Unpack[Selection],
    ) -> Purged:
        """Deletes dead jobs for good; see `retry_jobs`."""
        return in_parts(self, bulk.dlq_purge(selection, dry_run=dry_run), on_part)


def in_parts(client: Calls, ask: Asking[PartT], on_part: Callable[[PartT], None] | None) -> PartT:
    """All parts of an order, one after the other; their sum.

    Its `cursor` is None unless it was given up: the queue had no room for more for a minute.
    """
    progress = Progress(on_part)
    cursor: str | None = None
    while True:
        part = client.call(ask(cursor))
        pause = progress.take(part)
        if pause is None:
            return progress.total or part
        cursor = part.cursor
        time.sleep(pause)
