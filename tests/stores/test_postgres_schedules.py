"""Schedules that several apis change in the same moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
import trio
from databases.stores import opened
from processes.client import until

from hermesd.core.errors import ChangedMeanwhile
from hermesd.core.schedule import Schedule, ScheduleDefinition, Source
from hermesd.stores.postgres import PostgresStore
from hermesd.testing.clock import ManualClock

THEIRS = "UPDATE schedules SET definition = %s, revision = revision + 1 WHERE name = 'a'"
WAITING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
Change = Callable[[PostgresStore, Schedule], Awaitable[object]]


@pytest.fixture
async def store(postgresql_url: str, clock: ManualClock) -> AsyncIterator[PostgresStore]:
    """An open store whose clock is the test's."""
    async with opened(postgresql_url, clock=clock, utc=clock.utc) as store:
        yield store


async def replaced(store: PostgresStore, read: Schedule) -> Schedule:
    """By one who has read it."""
    return await store.schedules.put(
        "a",
        ScheduleDefinition(cron="@hourly", type="mine"),
        Source.API,
        next_at=None,
        replace=True,
        expected=[read.etag],
    )


async def deleted(store: PostgresStore, read: Schedule) -> None:
    """By one who has read it."""
    await store.schedules.delete("a", Source.API, expected=[read.etag])


@pytest.mark.parametrize("change", [replaced, deleted])
async def test_a_change_that_is_committed_between_the_look_and_the_own_one_is_kept(
    store: PostgresStore, postgresql_url: str, change: Change
) -> None:
    """The own one has seen the schedule as it was, and waits for the other's lock."""
    definition = ScheduleDefinition(cron="@daily", type="t")
    read = await store.schedules.put("a", definition, Source.API, next_at=None, replace=False)
    with psycopg.connect(postgresql_url) as other, psycopg.connect(postgresql_url) as watch:
        watch.autocommit = True
        other.execute(THEIRS, ['{"cron":"@weekly","type":"theirs"}'])

        async def waits() -> bool:
            return bool((watch.execute(WAITING).fetchone() or (0,))[0])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refused, change, store, read)
            await until(waits, "its wait for the lock")
            other.commit()
    kept = await store.schedules.get("a")
    assert kept is not None
    assert (kept.definition.type, kept.revision) == ("theirs", 2)


async def refused(change: Change, store: PostgresStore, read: Schedule) -> None:
    """With what it is now."""
    with pytest.raises(ChangedMeanwhile, match="was changed meanwhile"):
        await change(store, read)
