"""Opens the line between the apis of one store, where there can be several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from structlog.typing import FilteringBoundLogger

from hermesd.api.alone import Alone
from hermesd.config.sections import StoreSection
from hermesd.daemon.store import line_of
from hermesd.ports import Bus
from hermesd.stores.urls import POSTGRESQL


@asynccontextmanager
async def open_bus(
    config: StoreSection, name: str, boot: str, log: FilteringBoundLogger
) -> AsyncIterator[Bus]:
    """The bus of one boot of the api of that name; what it has to say is said before it closes."""
    if not config.url.startswith(POSTGRESQL):
        yield Alone()
        return
    from hermesd.stores.postgres import bus

    async with bus.open_bus(line_of(config), name, boot, log) as opened:
        yield opened
