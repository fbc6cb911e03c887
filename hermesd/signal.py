"""A wake-up that is never lost: set by anyone, waited for by one agent."""

from __future__ import annotations

import trio


class Signal:
    """Coalesces any number of wake-ups into one; a wake-up before the wait ends it at once."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        """Wake the agent, now or at its next wait."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether the next wait ends at once."""
        return self._event.is_set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait for a wake-up, at most `seconds`; False where the time ran out."""
        if seconds is None:
            await self._event.wait()
        else:
            with trio.move_on_after(max(seconds, 0)):
                await self._event.wait()
        woken = self._event.is_set()
        if woken:
            self._event = trio.Event()
        return woken
