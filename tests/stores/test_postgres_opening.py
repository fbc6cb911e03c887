"""A PostgreSQL store is opened: its tables are made or migrated, or it cannot be used."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import psycopg
import pytest
import trio
from databases.postgresql import PostgresServer
from databases.stores import opened

from hermesd.core.errors import ConfigError, Unavailable
from hermesd.core.records import JobFilter
from hermesd.stores import migrate, version
from hermesd.stores.postgres import fresh
from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import Scene
from hermesd.testing.listing import all_ids

STORES = 3


def test_apis_that_start_side_by_side_migrate_once(postgresql: PostgresServer) -> None:
    """Each is content with what it finds."""
    url = postgresql.url(postgresql.fresh())
    command = [sys.executable, "-m", "hermesd.stores.migrate", "-"]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{url}\n".encode())
        process.stdin.close()
    for process in processes:
        assert process.stderr is not None
        words = process.stderr.read()
        assert process.wait(60) == 0, words
        process.stderr.close()
    assert migrate.current(url) == version.HEAD


def test_a_fresh_database_is_as_the_migrations_leave_one(
    postgresql: PostgresServer, postgresql_template: str
) -> None:
    """Whatever a dump tells; what is there already is left alone."""
    made, older = postgresql.fresh(), postgresql.fresh(postgresql_template)
    with psycopg.connect(postgresql.url(made)) as connection:
        assert fresh.fill(connection) == version.HEAD
        assert fresh.fill(connection) == version.HEAD
    assert postgresql.dump(made) == postgresql.dump(postgresql_template)
    postgresql.ask(f"UPDATE {version.VERSION_TABLE} SET version_num = '0001'", database=older)
    with psycopg.connect(postgresql.url(older)) as connection:
        assert fresh.fill(connection) == "0001"


async def test_apis_that_start_side_by_side_fill_an_empty_database_once(
    postgresql: PostgresServer, clock: ManualClock
) -> None:
    """And need no migration tool, which changes tables after it has made them."""
    name = postgresql.fresh()
    postgresql.tell_statements(name)
    ids = []

    async def start() -> None:
        async with opened(postgresql.url(name), clock=clock) as store:
            ids.append(await store.fleet.store_id())

    async with trio.open_nursery() as nursery:
        for _ in range(STORES):
            nursery.start_soon(start)
    assert len(ids) == STORES
    assert len(set(ids)) == 1
    kinds = Counter(told.partition(" (")[0] for told in postgresql.told_statements(name))
    assert kinds[f"CREATE TABLE {version.VERSION_TABLE}"] == 1
    assert not any(kind.startswith("ALTER TABLE") for kind in kinds)


async def test_whoever_waits_for_another_one_to_fill_it_can_be_ended(
    postgresql: PostgresServer, clock: ManualClock
) -> None:
    """At once, and the next one finds nothing amiss."""
    url = postgresql.url(postgresql.fresh())
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (version.LOCK,))
        begun = trio.current_time()
        with trio.move_on_after(1) as given:
            async with opened(url, clock=clock):
                pass
        assert given.cancelled_caught
        assert trio.current_time() - begun < version.LOCK_SECONDS / 2
    async with opened(url, clock=clock) as store:
        assert await store.fleet.store_id()


async def test_a_table_of_others_is_in_the_way(
    postgresql: PostgresServer, clock: ManualClock
) -> None:
    """One with the name of ours: nothing is made, and the reason told."""
    name = postgresql.fresh()
    postgresql.ask("CREATE TABLE events (x int)", database=name)
    with pytest.raises(Unavailable, match='"events" already exists'):
        async with opened(postgresql.url(name), clock=clock):
            pass
    assert migrate.current(postgresql.url(name)) is None


async def test_a_newer_schema_is_refused(
    postgresql: PostgresServer, postgresql_url: str, clock: ManualClock
) -> None:
    """By the daemon and by the tool, with what to do."""
    database = postgresql_url.rpartition("/")[2].partition("?")[0]
    change = f"UPDATE {version.VERSION_TABLE} SET version_num = '9999'"
    postgresql.ask(change, database=database)
    with pytest.raises(ConfigError, match="newer hermesd"):
        async with opened(postgresql_url, clock=clock):
            pass
    with pytest.raises(ConfigError, match="newer hermesd"):
        migrate.upgrade(postgresql_url)


async def test_migrating_can_be_forbidden(postgresql: PostgresServer, clock: ManualClock) -> None:
    """Then an older schema is refused; an empty database is still filled."""
    name = postgresql.fresh()
    async with opened(postgresql.url(name), clock=clock, migrate=False) as store:
        await store.check()
    change = f"UPDATE {version.VERSION_TABLE} SET version_num = '0001'"
    postgresql.ask(change, database=name)
    with pytest.raises(ConfigError, match="migrate is false"):
        async with opened(postgresql.url(name), clock=clock, migrate=False):
            pass


async def test_a_database_that_cannot_be_used_is_told(
    postgresql: PostgresServer, clock: ManualClock
) -> None:
    """With the server's reason."""
    postgresql.ask("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(ConfigError, match="encoding must be UTF8"):
        async with opened(postgresql.url("latin"), clock=clock):
            pass
    with pytest.raises(Unavailable, match='database "missing" does not exist'):
        async with opened(postgresql.url("missing"), clock=clock):
            pass


async def test_ids_are_in_order_whatever_the_language(
    postgresql: PostgresServer, clock: ManualClock
) -> None:
    """A database that sorts as people do sorts our texts bytewise all the same."""
    postgresql.ask(
        "CREATE DATABASE human LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8' "
        "TEMPLATE template0"
    )
    async with opened(postgresql.url("human"), clock=clock) as store:
        scene = Scene(store, clock)
        ids = sorted(["a-1", "A-1", "a1", "B", "b", "Z", "_", "ä", "0"])
        for job_id in ids:
            await scene.queued(id=job_id)
        assert await all_ids(store.reader) == ids
        page = await store.reader.page(JobFilter(), None, 4)
        rest = await store.reader.page(JobFilter(), page.next_cursor, 100)
        assert [job.id for job in (*page.jobs, *rest.jobs)] == ids[::-1]
