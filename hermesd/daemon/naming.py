"""Sees to it that no two apis of one store have one name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from structlog.typing import FilteringBoundLogger

from hermesd.config.sections import StoreSection
from hermesd.daemon.store import line_of
from hermesd.stores.urls import POSTGRESQL


@asynccontextmanager
async def hold_name(
    config: StoreSection, name: str, log: FilteringBoundLogger
) -> AsyncIterator[None]:
    """Have the name within the block; raises ConfigError where another api has it.

    A store in a file has one api at a time, by its own lock.
    """
    if not config.url.startswith(POSTGRESQL):
        yield
        return
    from hermesd.stores.postgres import naming

    async with naming.hold_name(line_of(config), name, log):
        yield
