"""The PostgreSQL store: one writing connection, a few reading ones.

submit, report ─► group commit ─► one transaction, one round, waited for by the event loop
all other changes            └──► writer thread ─► one transaction, two rounds
listings       ─► reading threads, on the last committed state

Any number of apis may have one database: nothing is kept here that another one could change, but
the order of the jobs that this one submits, which is by the database's clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from hermesd.ports import Clock
from hermesd.stores.group import GroupCommit
from hermesd.stores.postgres import fleet_questions, listing, prepare, queue_questions
from hermesd.stores.postgres.comeback import Comeback
from hermesd.stores.postgres.connection import Line
from hermesd.stores.postgres.reads import PostgresReads, reads_of
from hermesd.stores.postgres.timing import DatabaseTime
from hermesd.stores.postgres.writer import PostgresWriter
from hermesd.stores.stats import GroupStats
from hermesd.stores.store import Dialect, Store

_DIALECT: Final = Dialect(
    queue=queue_questions, jobs=listing, fleet=fleet_questions, executing=reads_of
)


class PostgresStore(Store):
    """The store in a PostgreSQL database."""

    writer: PostgresWriter

    def stats(self) -> GroupStats:
        """Totals, with the transactions that had to be done again."""
        return msgspec.structs.replace(super().stats(), repeats=self.writer.repeats)


@asynccontextmanager
async def open_postgres(
    line: Line,
    *,
    clock: Clock,
    max_group: int,
    max_pending: int,
    log: FilteringBoundLogger,
    migrate: bool = True,
    utc: Callable[[], float] | None = None,
) -> AsyncIterator[PostgresStore]:
    """Open the store in the database of `line`, migrating it where needed, and close it.

    `max_group` is the rows in one transaction, `max_pending` those that may wait. `utc` is the
    store's clock; without it that is the database's. Raises StoreUnavailable where the database
    cannot be used, ConfigError where its schema is newer than this program. What was handed in
    before the end is still committed.
    """
    there, comeback = DatabaseTime(clock.utc), Comeback()
    writer = PostgresWriter(line, there, comeback)
    group = GroupCommit(
        writer, max_group=max_group, max_pending=max_pending, log=log, ahead=writer.ahead
    )
    reads = PostgresReads(line, comeback)
    await prepare.migrated(line, allowed=migrate)
    store_id = await trio.to_thread.run_sync(prepare.identify, line, there)
    try:
        async with group.running():
            store = PostgresStore(group, reads, _DIALECT, utc=utc or there.utc, store_id=store_id)
            store.writer = writer
            yield store
    finally:
        reads.close()
