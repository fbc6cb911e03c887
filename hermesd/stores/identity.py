"""A new identity for a restored store: `hermesd db new-identity`.

A backup goes back to an earlier moment, and the leases with it: what workers and the broker hold of
the time since would fit leases that are given out anew. So the store gets another id, which refuses
messages; every job that may run again gets a lease that was never given, which refuses outcomes;
every incarnation is fenced, so that what ran is released and run anew; and what waited in the
broker waits in the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec
import sqlalchemy as sa

from hermesd.core.errors import ConfigError, StoreUnavailable
from hermesd.stores import migrate
from hermesd.stores.sqlite.lock import exclusive
from hermesd.stores.urls import SQLITE
from hermesd.stores.version import HEAD

STEPS_A_SECOND: Final = 1000  # more than any job's lease rises by

_NAMES_IN_USE: Final = (
    "SELECT name FROM apis "
    "WHERE NOT pg_try_advisory_xact_lock(hashtextextended('hermesd api ' || name, 0)) "
    "ORDER BY name"
)
# What has ended for good keeps its lease; a failed job may be requeued.
_RAISE_LEASES: Final = (
    "UPDATE jobs SET lease = lease + :step, published_us = NULL, "
    "owner = CASE WHEN owner = 'amqp' THEN 'store' ELSE owner END "
    "WHERE state NOT IN ('succeeded', 'cancelled')"
)
_RENAME: Final = (
    "INSERT INTO meta (name, value) VALUES ('store_id', :store_id) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


class NewIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The store's id before (None: it had none) and now, and how many jobs got a new lease."""

    before: str | None
    store_id: str
    jobs: int


def renew(url: str, now: float) -> NewIdentity:
    """Give the store at `url` a new identity, in one transaction; `now` is UTC, in seconds.

    Raises StoreUnavailable where an api uses it or it cannot be had, ConfigError where its schema
    is not this version's. Leases rise with `now`, so that a backup can be restored twice.
    """
    store_id = uuid4().hex
    with _alone(url) as connection:
        _check_schema(connection)
        _check_unused(connection)
        before = connection.scalar(sa.text("SELECT value FROM meta WHERE name = 'store_id'"))
        step = max(int(now * STEPS_A_SECOND), 1)
        raised = connection.execute(sa.text(_RAISE_LEASES), {"step": step})
        connection.execute(sa.text("UPDATE incarnations SET fenced = 1"))
        connection.execute(sa.text("DELETE FROM apis"))
        connection.execute(sa.text(_RENAME), {"store_id": store_id})
        connection.commit()
    return NewIdentity(before=before, store_id=store_id, jobs=raised.rowcount)


@contextmanager
def _alone(url: str) -> Iterator[sa.Connection]:
    with ExitStack() as stack:
        if url.startswith(SQLITE):
            path = Path(url.removeprefix(SQLITE))
            if not path.exists():
                raise StoreUnavailable(f"there is no file {path}")  # nor is one made
            stack.enter_context(exclusive(path))
        yield stack.enter_context(migrate.connected(url))


def _check_schema(connection: sa.Connection) -> None:
    found = migrate.version_of(connection)
    if found != HEAD:
        raise ConfigError(
            [f"[store] the database has schema {found!r}, {HEAD!r} is needed: hermesd db upgrade"]
        )


def _check_unused(connection: sa.Connection) -> None:
    """By the names that running apis hold; they are held here until the end of the transaction."""
    if connection.dialect.name != "postgresql":
        return
    used = connection.scalars(sa.text(_NAMES_IN_USE)).all()
    if used:
        raise StoreUnavailable(f"in use by the apis {', '.join(used)}: stop all apis first")
