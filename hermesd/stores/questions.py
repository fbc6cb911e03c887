"""What is asked of a database, in its dialect: modules of functions over a reading connection.

Each is one read; times are whole microseconds where a name ends with `_us`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from hermesd.core.fleet import Incarnation
from hermesd.core.job import Job, Token
from hermesd.core.records import (
    BrokerRange,
    Counts,
    EndedPage,
    EndedRange,
    EventRecord,
    Head,
    JobFilter,
    JobPage,
    KnownType,
    Waiting,
)
from hermesd.core.searches import ErrorGroups, Reach, Walked

T = TypeVar("T")


class Reads(Protocol):
    """Reading connections in threads."""

    async def run(self, query: Callable[[Any], T]) -> T:
        """What `query` answers; raises StoreUnavailable where the database cannot be read."""


class QueueQuestions(Protocol):
    """About jobs that wait: in the store, for their time, at the broker."""

    def waiting(self, wanted: Waiting, connection: Any) -> Head:
        """Queued jobs of the store, highest priority first, then by their place."""

    def next_due(self, connection: Any) -> float | None:
        """When the earliest scheduled job is due, in UTC seconds."""

    def has_orphans(self, connection: Any) -> bool:
        """Whether a running job's incarnation is fenced or absent."""

    def with_broker(self, wanted: BrokerRange, connection: Any) -> Sequence[Token]:
        """By the time of publishing."""

    def broker_counts(self, before_us: int, connection: Any) -> Mapping[tuple[str, int], int]:
        """By queue and priority."""


class JobQuestions(Protocol):
    """About all jobs; see `ports.JobReader`."""

    def get(self, job_id: str, connection: Any) -> Job | None:
        """One job, or None."""

    def get_many(self, job_ids: Sequence[str], connection: Any) -> Sequence[Job]:
        """Those that exist, in brief."""

    def page(self, wanted: JobFilter, cursor: str | None, limit: int, connection: Any) -> JobPage:
        """Newest first."""

    def walk(self, wanted: JobFilter, reach: Reach, connection: Any) -> Walked:
        """Oldest first."""

    def error_groups(self, wanted: JobFilter, connection: Any) -> ErrorGroups:
        """Of the newest failed jobs."""

    def counts(self, live: bool, connection: Any) -> Counts:
        """By state (`live`: by those that are no end), and what waits; as of one moment."""

    def events(self, job_id: str, connection: Any) -> Sequence[EventRecord]:
        """Oldest first."""

    def assigned(self, assigned_by: str, connection: Any) -> Sequence[Job]:
        """The running jobs of one api, in brief."""

    def misowned(self, limit: int, connection: Any) -> Sequence[Job]:
        """Live jobs whose owner does not fit their state, in brief."""

    def ended(self, wanted: EndedRange, connection: Any) -> EndedPage:
        """Those that ended, among the next ones by id."""


class FleetQuestions(Protocol):
    """About incarnations, types and the store itself."""

    def living(self, connection: Any) -> Sequence[Incarnation]:
        """Those that are not fenced."""

    def known_types(self, connection: Any) -> Sequence[KnownType]:
        """By name."""

    def store_id(self, connection: Any) -> str | None:
        """The identity of the store."""
