"""Opens the line between the apis of one store, where there can be several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from hermesd.api.alone import Alone
from hermesd.ports import Bus

if TYPE_CHECKING:
    from hermesd.stores.postgres.connection import Line


@asynccontextmanager
async def open_bus(
    line: Line | None, name: str, boot: str, log: FilteringBoundLogger
) -> AsyncIterator[Bus]:
    """The bus of one boot of the api of that name; what it has to say is said before it closes."""
    if line is None:
        yield Alone()
        return
    from hermesd.stores.postgres import bus

    async with bus.open_bus(line, name, boot, log) as opened:
        yield opened
