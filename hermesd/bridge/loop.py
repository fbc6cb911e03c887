"""The asyncio loop that runs inside trio: the outermost resource of the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import trio_asyncio


@asynccontextmanager
async def open_bridge() -> AsyncIterator[None]:
    """Host an asyncio loop for the tasks opened inside; what uses it must be closed before.

    Leaving cancels what still runs in both flavours together. An exception in an asyncio callback
    has no caller to reach: trio_asyncio would let it end the daemon, here it is logged, and
    only the connection it belongs to is lost.
    """
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(_log_callback_error)
        yield


def _log_callback_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    structlog.get_logger("hermesd.bridge").error(
        "asyncio_callback_failed", reason=context.get("message", ""), exc_info=error
    )
