"""Opens the store that `[store]` names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structlog.typing import FilteringBoundLogger

from hermesd.config.sections import StoreSection
from hermesd.core.errors import ConfigError
from hermesd.ports import Clock
from hermesd.stores.store import Store
from hermesd.stores.urls import POSTGRESQL, SQLITE

if TYPE_CHECKING:
    from hermesd.stores.postgres.connection import Line


@asynccontextmanager
async def open_store(
    config: StoreSection, line: Line | None, clock: Clock, log: FilteringBoundLogger
) -> AsyncIterator[Store]:
    """A store that is closed at the end; raises StoreUnavailable or ConfigError.

    `line` is `line_of` the section. Only the driver of the store that is named is loaded.
    """
    common: dict[str, Any] = {
        "clock": clock,
        "max_group": config.max_group,
        "max_pending": config.max_pending,
        "log": log,
        "migrate": config.migrate,
    }
    if line is not None:
        from hermesd.stores.postgres import open_postgres

        async with open_postgres(line, **common) as store:
            yield store
        return
    from hermesd.stores.sqlite import open_sqlite

    path, wait = sqlite_path(config.url), config.busy_timeout_seconds
    async with open_sqlite(path, busy_timeout_seconds=wait, **common) as store:
        yield store


def line_of(config: StoreSection) -> Line | None:
    """Where the PostgreSQL database is, and for how long it may take; None for a file."""
    if not config.url.startswith(POSTGRESQL):
        return None
    from hermesd.stores.postgres.connection import Line

    return Line(
        url=config.url,
        connect_seconds=config.connect_timeout_seconds,
        lock_seconds=config.busy_timeout_seconds,
        statement_seconds=config.statement_timeout_seconds,
    )


def sqlite_path(url: str) -> Path:
    """The file of a store URL `sqlite:///relative` or `sqlite:////absolute`."""
    if not url.startswith(SQLITE) or len(url) == len(SQLITE):
        raise ConfigError([f"store.url: {url.partition(':')[0]!r} is no kind of store"])
    return Path(url.removeprefix(SQLITE))
