"""The asyncio loop that runs inside trio: the outermost resource of the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVarTuple

import structlog
import trio_asyncio
from trio_asyncio._handles import ScopedHandle

ArgsT = TypeVarTuple("ArgsT")


@asynccontextmanager
async def open_bridge() -> AsyncIterator[None]:
    """Host an asyncio loop for the tasks opened inside; what uses it must be closed before.

    Leaving cancels what still runs in both flavours together. An exception in an asyncio callback
    has no caller to reach: trio_asyncio would let it end the daemon, here it is logged, and
    only the connection it belongs to is lost.
    """
    async with trio_asyncio.open_loop() as loop:
        loop.__class__ = _Loop  # open_loop has no parameter for it
        loop.set_exception_handler(_log_callback_error)
        yield


class _Loop(trio_asyncio.TrioEventLoop):  # type: ignore[misc]  # it is untyped
    """The loop of trio_asyncio with fewer rounds of trio's own loop for each thing that it does."""

    async def _io_task(
        self,
        fd: int,
        handle: ScopedHandle,
        wait_ready: Callable[[int], Awaitable[None]],
    ) -> None:
        """Run the handle whenever the socket is ready, after all that it has called soon.

        The base class waits for the main loop each time; here not while that has nothing to do.
        """
        with handle._scope:
            try:
                while not handle._cancelled:
                    try:
                        await wait_ready(fd)
                    except OSError:
                        if handle._cancelled:  # a callback has closed the socket
                            return
                        raise
                    if handle._cancelled:
                        return
                    handle._run()
                    if not self._q_recv.statistics().tasks_waiting_receive:
                        await self.synchronize()
            except Exception as error:
                handle._raise(error)


async def bridge_turned() -> None:
    """Return when the asyncio loop has taken a turn; must be called inside `open_bridge()`."""
    await trio_asyncio.aio_as_trio(asyncio.sleep)(0)


def start_soon(function: Callable[[*ArgsT], Awaitable[None]], *args: *ArgsT) -> None:
    """Start a trio task of the bridge, from either flavour; its error is the bridge's.

    As `trio_as_aio` does, without its way through the queue of the loop, and without a future.
    """
    trio_asyncio.current_loop.get()._nursery.start_soon(function, *args)


def _log_callback_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    structlog.get_logger("hermesd.bridge").error(
        "asyncio_callback_failed", reason=context.get("message", ""), exc_info=error
    )
