"""The configuration in effect, where a reload can replace it."""

from __future__ import annotations

from collections.abc import Callable

import trio

from hermesd.config.sections import Config


class Live:
    """Who acts by a configuration: it is read from `config` at each use, and never copied."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._replaced = trio.Event()

    def reconfigure(self, config: Config) -> None:
        """Act by this one from now on; only keys of `reload.RELOADABLE` may differ."""
        self.config = config
        self._replaced.set()
        self._replaced = trio.Event()

    async def until(self, holds: Callable[[Config], bool]) -> None:
        """Return when this holds of the configuration in effect."""
        while not holds(self.config):
            await self._replaced.wait()

    async def rest(self, seconds: Callable[[Config], float]) -> None:
        """Sleep for what the configuration says, from now on, also where it changes meanwhile."""
        begun = trio.current_time()
        while (left := begun + seconds(self.config) - trio.current_time()) > 0:
            with trio.move_on_after(left):
                await self._replaced.wait()
