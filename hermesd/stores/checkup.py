"""What `hermesd db check` looks at: whether a database is there, as it should be, and writable."""

from __future__ import annotations

from pathlib import Path

import msgspec
import sqlalchemy as sa

from hermesd.core.errors import StoreUnavailable
from hermesd.stores import migrate
from hermesd.stores.urls import SQLITE


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """`problems` are for people, and none where all is well."""

    server: str
    current: str | None
    head: str
    problems: tuple[str, ...] = ()


def check(url: str) -> Checkup:
    """Look at the database at `url` and change nothing; raises what `migrate.current` does.

    A SQLite file is read from end to end.
    """
    head = migrate.head()
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists():
        raise StoreUnavailable(f"there is no file {url.removeprefix(SQLITE)}")  # nor is one made
    with migrate.connected(url) as connection:
        current = migrate.version_of(connection)
        problems = []
        if current is None:
            problems.append("it has no tables yet: hermesd db upgrade, or start the daemon")
        elif current != head:
            problems.append(f"it has schema {current}, this version has {head}: hermesd db upgrade")
        else:
            problems += _unwritable(connection)
        sqlite = connection.dialect.name == "sqlite"
        server, more = _sqlite(connection) if sqlite else _postgresql(connection)
    problems += more
    return Checkup(server=server, current=current, head=head, problems=tuple(problems))


def _unwritable(connection: sa.Connection) -> list[str]:
    """By a change that is taken back."""
    try:
        connection.execute(sa.text("DELETE FROM meta WHERE name = 'checked_us'"))
    except sa.exc.DBAPIError as error:
        return [f"it cannot be written: {migrate.reason_of(error)}"]
    finally:
        connection.rollback()
    return []


def _sqlite(connection: sa.Connection) -> tuple[str, list[str]]:
    version = connection.scalar(sa.text("SELECT sqlite_version()"))
    found = connection.scalars(sa.text("PRAGMA quick_check(5)")).all()
    return f"SQLite {version}", [f"the file is damaged: {one}" for one in found if one != "ok"]


def _postgresql(connection: sa.Connection) -> tuple[str, list[str]]:
    try:
        version, encoding, standby = connection.execute(
            sa.text(
                "SELECT current_setting('server_version'), current_setting('server_encoding'), "
                "pg_is_in_recovery()"
            )
        ).one()
    except sa.exc.DBAPIError as error:
        raise StoreUnavailable(f"PostgreSQL: {migrate.reason_of(error)}") from error
    problems = []
    if encoding != "UTF8":
        problems.append(f"its encoding is {encoding}, and must be UTF8")
    if standby:
        problems.append("the server is a standby: read-only")
    return f"PostgreSQL {version}", problems
