"""Bring a database's tables up to date: `python -m hermesd.stores.migrate URL`.

Run in a process of its own, so that the daemon never imports the migration tool.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hermesd.core.errors import ConfigError, HermesError, StoreUnavailable
from hermesd.stores.version import VERSION_TABLE, needs_upgrade


def upgrade(url: str) -> str:
    """Migrate the database at `url` to `head()` and answer that; nothing to do is fine.

    Raises ConfigError where its schema is newer than this program, StoreUnavailable where it
    cannot be opened or changed.
    """
    with _connection(url) as connection:
        if needs_upgrade(_version(connection)):
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    return head()


def current(url: str) -> str | None:
    """The schema version of the database at `url`, None where it has no tables yet."""
    with _connection(url) as connection:
        return _version(connection)


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


def _version(connection: sa.Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


@contextmanager
def _connection(url: str) -> Iterator[sa.Connection]:
    try:
        engine = sa.create_engine(url)
    except (sa.exc.ArgumentError, ImportError) as error:
        raise ConfigError([f"[store] url: {error}"]) from None
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.DBAPIError as error:
        raise StoreUnavailable(f"the database cannot be migrated: {error.orig}") from error
    finally:
        engine.dispose()


def main(arguments: list[str]) -> int:
    """Exit status 0 when the database is up to date, 1 with a line on stderr when it is not."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m hermesd.stores.migrate URL\n")
        return 2
    try:
        upgrade(arguments[0])
    except HermesError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
