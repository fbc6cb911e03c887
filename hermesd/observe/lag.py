"""How late the event loop runs what is due: the first sign of a handler that blocks it."""

from __future__ import annotations

from collections.abc import Callable

import trio

SAMPLE_SECONDS = 0.5


async def sample_lag(tell: Callable[[float], None]) -> None:
    """Tell the lag in seconds, twice a second, for ever."""
    while True:
        before = trio.current_time()
        await trio.sleep(SAMPLE_SECONDS)
        tell(max(trio.current_time() - before - SAMPLE_SECONDS, 0.0))
