"""What an operator is told of a database before a daemon runs into it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from databases.postgresql import PostgresServer

from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.stores import checkup, version


def test_nothing_is_wrong_with_a_migrated_file(database: Path) -> None:
    """And looking at it does not change it."""
    before = database.read_bytes()
    found = checkup.check(f"sqlite:///{database}")
    assert (found.current, found.problems) == (version.HEAD, ())
    assert found.server == f"SQLite {sqlite3.sqlite_version}"
    assert database.read_bytes() == before


def test_an_older_file_is_to_be_upgraded(database: Path) -> None:
    """With the command that does it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"UPDATE {version.VERSION_TABLE} SET version_num = '0001'")
    (problem,) = checkup.check(f"sqlite:///{database}").problems
    assert "hermesd db upgrade" in problem


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    """It is a wrong url, most likely."""
    path = tmp_path / "missing.db"
    with pytest.raises(StoreUnavailable, match=r"missing\.db"):
        checkup.check(f"sqlite:///{path}")
    assert not path.exists()


def test_nothing_is_wrong_with_a_migrated_database(postgresql_url: str) -> None:
    """Its server's version is told."""
    found = checkup.check(postgresql_url)
    assert (found.current, found.problems) == (version.HEAD, ())
    assert found.server.startswith("PostgreSQL ")


def test_a_database_that_cannot_be_written_is_told(
    postgresql: PostgresServer, postgresql_url: str
) -> None:
    """By the server's own words."""
    name = postgresql_url.rpartition("/")[2].partition("?")[0]
    postgresql.ask(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    (problem,) = checkup.check(postgresql_url).problems
    assert "read-only transaction" in problem


def test_an_empty_database_is_told(postgresql: PostgresServer) -> None:
    """With what to do."""
    (problem,) = checkup.check(postgresql.url(postgresql.fresh())).problems
    assert "no tables yet" in problem


def test_a_server_that_is_not_there_is_told(postgresql: PostgresServer) -> None:
    """Or a url that leads to none."""
    with pytest.raises(StoreUnavailable, match="does not exist"):
        checkup.check(postgresql.url("missing"))
    with pytest.raises(ConfigError):
        checkup.check("nonsense")
