"""The SQLite store: one writing thread, a few reading ones, one file.

submit, report ─► group commit ─► writer thread ─► one transaction, synced
listings       ─► reading threads, on the last committed state
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from hermesd.ports import Clock
from hermesd.stores.group import GroupCommit, GroupStats
from hermesd.stores.pace import Pace
from hermesd.stores.sqlite import prepare
from hermesd.stores.sqlite.fleet import SqliteFleet, SqliteTypes
from hermesd.stores.sqlite.jobs import SqliteJobs, Writes, check
from hermesd.stores.sqlite.lock import exclusive
from hermesd.stores.sqlite.outbox import SqliteOutbox
from hermesd.stores.sqlite.reader import SqliteReader
from hermesd.stores.sqlite.reads import ReadPool
from hermesd.stores.sqlite.transaction import SqliteWriter


class SqliteStore:
    """One object a port, over one file."""

    def __init__(self, group: GroupCommit, reads: ReadPool, clock: Clock, store_id: str) -> None:
        writes = Writes(group, clock)
        self.jobs = SqliteJobs(writes, reads, store_id)
        self.outbox = SqliteOutbox(writes, reads)
        self.reader = SqliteReader(reads)
        self.fleet = SqliteFleet(writes, reads, store_id)
        self.types = SqliteTypes(writes, reads)
        self._group = group
        self._writes = writes
        self._reads = reads

    def stats(self) -> GroupStats:
        """Totals of the group commit since the store was opened."""
        return msgspec.structs.replace(self._group.stats)

    async def check(self) -> None:
        """Raise StoreUnavailable unless a change can be committed now; commits a small one."""
        await check(self._writes, self._reads)


@asynccontextmanager
async def open_sqlite(
    path: str | Path,
    *,
    clock: Clock,
    max_group: int,
    max_pending: int,
    busy_timeout_seconds: float,
    log: FilteringBoundLogger,
    migrate: bool = True,
) -> AsyncIterator[SqliteStore]:
    """Open the store in the file at `path`, creating or migrating it where needed, and close it.

    `max_group` is the rows in one transaction, `max_pending` those that may wait. Raises
    StoreUnavailable where the file cannot be used or another hermesd holds it, ConfigError where
    its schema is newer than this program. What was handed in before the end is still committed.
    """
    database = Path(path)
    writer = SqliteWriter(database, busy_timeout_seconds)
    group = GroupCommit(writer, max_group=max_group, max_pending=max_pending, log=log, pace=Pace())
    reads = ReadPool(database, busy_timeout_seconds)
    with exclusive(database):
        prepare.create(database)
        await prepare.migrated(database, allowed=migrate)
        store_id = await trio.to_thread.run_sync(prepare.identify, database, busy_timeout_seconds)
        try:
            async with group.running():
                yield SqliteStore(group, reads, clock, store_id)
        finally:
            reads.close()
