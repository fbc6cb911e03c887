"""Sees to it that no two apis of one store have one name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

if TYPE_CHECKING:
    from hermesd.stores.postgres.connection import Line


@asynccontextmanager
async def hold_name(line: Line | None, name: str, log: FilteringBoundLogger) -> AsyncIterator[None]:
    """Have the name within the block; raises ConfigError where another api has it.

    A store in a file (no line) has one api at a time, by its own lock.
    """
    if line is None:
        yield
        return
    from hermesd.stores.postgres import naming

    async with naming.hold_name(line, name, log):
        yield
