"""The SQLite store: one writing thread, a few reading ones, one file.

submit, report ─► group commit ─► writer thread ─► one transaction, synced
listings       ─► reading threads, on the last committed state
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.ports import Clock
from hermesd.stores.group import GroupCommit
from hermesd.stores.hot import may_wait
from hermesd.stores.pace import Pace
from hermesd.stores.sqlite import fleet_questions, listing, prepare, queue_questions
from hermesd.stores.sqlite.lock import exclusive
from hermesd.stores.sqlite.reads import ReadPool, reads_of
from hermesd.stores.sqlite.transaction import SqliteWriter
from hermesd.stores.store import Dialect, Store

_DIALECT: Final = Dialect(
    queue=queue_questions, jobs=listing, fleet=fleet_questions, executing=reads_of
)


class SqliteStore(Store):
    """The store in one file, which no other process has open to write."""


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
    group = GroupCommit(
        writer,
        max_group=max_group,
        max_pending=max_pending,
        log=log,
        pace=Pace(),
        may_wait=may_wait,
    )
    reads = ReadPool(database, busy_timeout_seconds)
    with exclusive(database):
        prepare.create(database)
        await prepare.migrated(database, busy_timeout_seconds, allowed=migrate)
        store_id = await trio.to_thread.run_sync(prepare.identify, database, busy_timeout_seconds)
        try:
            async with group.running():
                yield SqliteStore(group, reads, _DIALECT, utc=clock.utc, store_id=store_id)
        finally:
            reads.close()
