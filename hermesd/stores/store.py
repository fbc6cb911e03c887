"""One object a port, over one database of either dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from hermesd.stores.apis import StoredApis
from hermesd.stores.fleet import StoredFleet, StoredTypes
from hermesd.stores.group import GroupCommit
from hermesd.stores.jobs import StoredJobs
from hermesd.stores.notes import StoredNotes
from hermesd.stores.outbox import StoredOutbox
from hermesd.stores.points import StoredPoints
from hermesd.stores.questions import FleetQuestions, JobQuestions, QueueQuestions, Reads
from hermesd.stores.queues import StoredQueues
from hermesd.stores.reader import StoredReader
from hermesd.stores.schedules import StoredSchedules
from hermesd.stores.stats import GroupStats
from hermesd.stores.writes import Writes, check


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked in the database's own words.

    `executing` makes of a reading connection a call that runs what both dialects take.
    """

    queue: QueueQuestions
    jobs: JobQuestions
    fleet: FleetQuestions
    executing: Callable[[Any], Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]]


class Store:
    """`utc` is the store's clock, in seconds."""

    def __init__(
        self,
        group: GroupCommit,
        reads: Reads,
        dialect: Dialect,
        *,
        utc: Callable[[], float],
        store_id: str,
    ) -> None:
        writes = Writes(group, utc)
        self.jobs = StoredJobs(writes, reads, dialect.queue, store_id)
        self.outbox = StoredOutbox(writes, reads, dialect.queue)
        self.reader = StoredReader(reads, dialect.jobs)
        self.fleet = StoredFleet(writes, reads, dialect.fleet, store_id)
        self.types = StoredTypes(writes, reads, dialect.fleet)
        self.schedules = StoredSchedules(writes, reads, dialect.executing)
        self.apis = StoredApis(writes, reads, dialect.executing)
        self.notes = StoredNotes(writes, reads, dialect.executing)
        self.points = StoredPoints(writes, reads, dialect.executing)
        self.queues = StoredQueues(writes, reads, dialect.executing)
        self._group = group
        self._writes = writes
        self._reads = reads
        self._fleet = dialect.fleet

    def stats(self) -> GroupStats:
        """Totals of the group commit since the store was opened."""
        return msgspec.structs.replace(self._group.stats)

    def pending(self) -> int:
        """The changes that wait for their commit."""
        return self._group.pending

    def owed(self) -> int | None:
        """See GroupCommit.owed."""
        return self._group.owed()

    async def check(self) -> None:
        """Raise StoreUnavailable unless a change can be committed now; commits a small one."""
        await check(self._writes, self._reads, self._fleet)
