"""No two apis of one database have one name."""

from __future__ import annotations

from functools import partial

import pytest
import structlog
import trio
from databases.postgresql import PostgresServer
from databases.stores import line_to
from processes.client import until

from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.stores.postgres.naming import Name, hold_name

LOG = structlog.get_logger()
SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'hermesd-name'"
)


def database_of(url: str) -> str:
    """The name of the database of a url."""
    return url.rpartition("/")[2].partition("?")[0]


async def test_a_name_is_held_by_one(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second holder is refused, and told what to do; another name is free."""
    monkeypatch.setattr("hermesd.stores.postgres.naming.PATIENCE_SECONDS", 0.5)
    line = line_to(postgresql_url)
    async with hold_name(line, "api-1", LOG), hold_name(line, "api-2", LOG):
        with pytest.raises(ConfigError, match=r"'api-1' is running on this database already"):
            await Name(line, "api-1", LOG).take()
    async with hold_name(line, "api-1", LOG):
        pass


async def test_a_name_is_waited_for_a_moment(postgresql_url: str) -> None:
    """The process that had it has just ended, and the server has not noticed yet."""
    line = line_to(postgresql_url)
    first, second = Name(line, "api-1", LOG), Name(line, "api-1", LOG)
    await first.take()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.take)
        await trio.sleep(0.3)  # it has tried in vain by then, or has not yet: both are right
        first.close()
    second.close()


async def test_names_are_of_one_database(
    postgresql: PostgresServer, postgresql_template: str, postgresql_url: str
) -> None:
    """Another deployment on the same server may use it too."""
    other = postgresql.url(postgresql.fresh(postgresql_template))
    async with (
        hold_name(line_to(postgresql_url), "api-1", LOG),
        hold_name(line_to(other), "api-1", LOG),
    ):
        pass


async def test_a_lost_session_is_made_again(
    postgresql: PostgresServer, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is held still, after a moment."""
    monkeypatch.setattr("hermesd.stores.postgres.naming.PATIENCE_SECONDS", 0.5)
    line, database = line_to(postgresql_url), database_of(postgresql_url)
    async with hold_name(line, "api-1", LOG):
        for _ in range(3):
            [(pid,)] = postgresql.ask(SESSIONS, database)
            postgresql.ask("SELECT pg_terminate_backend(%s)", pid)
            await until(partial(_another, postgresql, database, pid), "another session")
        with pytest.raises(ConfigError):
            await Name(line, "api-1", LOG).take()


async def _another(postgresql: PostgresServer, database: str, pid: int) -> bool:
    return postgresql.ask(SESSIONS, database) not in ([], [(pid,)])


async def test_a_database_that_is_not_there_is_unavailable(postgresql: PostgresServer) -> None:
    """As for everything else in it."""
    with pytest.raises(StoreUnavailable):
        await Name(line_to(postgresql.url("nowhere")), "api-1", LOG).take()
