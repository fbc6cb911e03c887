"""Bring a database's tables up to date: `python -m hermesd.stores.migrate URL`.

Run in a process of its own, so that the daemon never imports the migration tool. `-` for the URL
means that it is on standard input, where a password in it is not shown to everybody.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hermesd.core.errors import ConfigError, HermesError, StoreUnavailable
from hermesd.stores.urls import POSTGRESQL
from hermesd.stores.version import LOCK, LOCK_SECONDS, VERSION_TABLE, needs_upgrade


def upgrade(url: str) -> str:
    """Migrate the database at `url` to `head()` and answer that; nothing to do is fine.

    Raises ConfigError where its schema is newer than this program, StoreUnavailable where it
    cannot be opened or changed.
    """
    with connected(url) as connection:
        if connection.dialect.name == "postgresql":  # apis that start side by side migrate once
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        if needs_upgrade(version_of(connection)):
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    return head()


def current(url: str) -> str | None:
    """The schema version of the database at `url`, None where it has no tables yet."""
    with connected(url) as connection:
        return version_of(connection)


def head() -> str:
    """The newest schema version that this program has a migration for."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise ConfigError(["this installation of hermesd lacks its migrations"])
    return newest


def _config() -> Config:
    config = Config()
    folder = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


def version_of(connection: sa.Connection) -> str | None:
    """The schema version of an open database, None where it has no tables yet."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """A connection to the database at `url`; raises ConfigError or StoreUnavailable."""
    try:
        engine = _engine(url)
    except (sa.exc.ArgumentError, ImportError) as error:
        raise ConfigError([f"[store] url: {error}"]) from None
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.DBAPIError as error:
        raise StoreUnavailable(f"the database cannot be used: {reason_of(error)}") from error
    finally:
        engine.dispose()


def reason_of(error: sa.exc.DBAPIError) -> str:
    """The driver's own words, the first line of them."""
    return (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]


def _engine(url: str) -> sa.Engine:
    if not url.startswith(POSTGRESQL):
        return sa.create_engine(url)
    # libpq takes more urls than SQLAlchemy does.
    from hermesd.stores.postgres.prepare import open_migrating

    return sa.create_engine(
        "postgresql+psycopg://",
        creator=partial(open_migrating, url, LOCK_SECONDS),
        poolclass=sa.NullPool,
    )


def main(arguments: list[str]) -> int:
    """Exit status 0 when the database is up to date, 1 with a line on stderr when it is not."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m hermesd.stores.migrate URL\n")
        return 2
    url = sys.stdin.readline().rstrip("\n") if arguments == ["-"] else arguments[0]
    try:
        upgrade(url)
    except HermesError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
