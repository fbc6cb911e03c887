"""A restored backup refuses what is held of the time after it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import structlog
from databases.postgresql import PostgresServer
from databases.stores import line_to, opened

from hermesd.core.apis import ApiLife
from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.core.job import Owner
from hermesd.core.records import Verdict
from hermesd.core.states import Move, State
from hermesd.stores import identity, version
from hermesd.stores.postgres.naming import hold_name
from hermesd.stores.sqlite import open_sqlite
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance.scene import Scene


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A migrated store without a job, of either dialect."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('database')}"
    found: str = request.getfixturevalue("postgresql_url")
    return found


@asynccontextmanager
async def store_at(url: str, clock: ManualClock) -> AsyncIterator[Scene]:
    """The store, as a scene."""
    if not url.startswith("sqlite"):
        async with opened(url, clock=clock) as postgres:
            yield Scene(postgres, clock)
        return
    given: dict[str, Any] = {"max_group": 100, "max_pending": 1000, "busy_timeout_seconds": 5.0}
    path = Path(url.removeprefix("sqlite:///"))
    async with open_sqlite(path, clock=clock, log=structlog.get_logger(), **given) as sqlite:
        yield Scene(sqlite, clock)


async def test_what_was_held_before_is_refused(url: str, clock: ManualClock) -> None:
    """The store's id and all leases that a run can still have are other ones."""
    async with store_at(url, clock) as scene:
        running, waiting = await scene.running(), await scene.queued()
        at_broker = await scene.at_broker()
        ended = await scene.running()
        await scene.settle(ended, Move.SUCCEED)
        ended = await scene.now(ended)
        before = await scene.store.fleet.store_id()
    found = identity.renew(url, clock.utc())
    assert (found.before, found.jobs) == (before, 3)
    async with store_at(url, clock) as scene:
        assert await scene.store.fleet.store_id() == found.store_id != before
        for job in (running, waiting, at_broker):
            now = await scene.now(job)
            assert (now.state, now.lease > job.lease) == (job.state, True)
        assert (await scene.now(at_broker)).owner is Owner.STORE
        assert await scene.now(ended) == ended
        assert await scene.settle(running, Move.SUCCEED) is Verdict.DROPPED
        assert await scene.store.jobs.release_orphans(10)
        assert (await scene.now(running)).state is State.QUEUED


async def test_a_second_restore_gives_other_leases(url: str, clock: ManualClock) -> None:
    """They rise with the time."""
    async with store_at(url, clock) as scene:
        job = await scene.queued()
    identity.renew(url, clock.utc())
    async with store_at(url, clock) as scene:
        first = (await scene.now(job)).lease
    identity.renew(url, clock.utc() + 60)
    async with store_at(url, clock) as scene:
        assert (await scene.now(job)).lease > first + 60


async def test_a_file_in_use_keeps_its_identity(database: Path, clock: ManualClock) -> None:
    """The api that has it would go on under the old one."""
    url = f"sqlite:///{database}"
    async with store_at(url, clock):
        with pytest.raises(StoreUnavailable, match="another hermesd"):
            identity.renew(url, clock.utc())


async def test_a_database_in_use_keeps_its_identity(
    postgresql_url: str, clock: ManualClock
) -> None:
    """The apis that have it are named."""
    async with (
        store_at(postgresql_url, clock) as scene,
        hold_name(line_to(postgresql_url), "api-7", structlog.get_logger()),
    ):
        await scene.store.apis.renew(ApiLife(name="api-7", boot="boot"))
        with pytest.raises(StoreUnavailable, match="api-7: stop all apis first"):
            identity.renew(postgresql_url, clock.utc())


def test_an_older_schema_is_to_be_upgraded_first(database: Path) -> None:
    """With the command that does it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"UPDATE {version.VERSION_TABLE} SET version_num = '0001'")
    with pytest.raises(ConfigError, match="hermesd db upgrade"):
        identity.renew(f"sqlite:///{database}", 1e9)


def test_an_empty_database_has_no_identity_to_renew(postgresql: PostgresServer) -> None:
    """It is no restored one."""
    with pytest.raises(ConfigError, match="None"):
        identity.renew(postgresql.url(postgresql.fresh()), 1e9)
