"""The looking-after of a database: its long part beside the commits, its short one between two."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.stores.backend import Backend
from hermesd.stores.hand import OwnThread


class _Stage(Enum):
    NONE = "none"
    AHEAD = "ahead"  # its long part is under way
    READY = "ready"  # its short part comes after this commit


class Tending:
    """One task calls; `rouse` is to wake it when there is something to do for it."""

    def __init__(
        self,
        backend: Backend,
        thread: OwnThread,
        rouse: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._backend = backend
        self._thread = thread
        self._rouse = rouse
        self._log = log
        self._beside = trio.CapacityLimiter(1)  # for what goes on beside that thread
        self._stage = _Stage.NONE

    @property
    def under_way(self) -> bool:
        """Whether the long part is."""
        return self._stage is _Stage.AHEAD

    async def go_on(self) -> None:
        """To be called between two commits: begin the long part, or do the short one."""
        if self._stage is _Stage.NONE and self._backend.needs_tending():
            self._stage = _Stage.AHEAD
            trio.lowlevel.spawn_system_task(self._tend_ahead)
        elif self._stage is _Stage.READY:
            await self._thread.run(self._backend.tend)
            self._stage = _Stage.NONE

    async def _tend_ahead(self) -> None:
        try:
            await trio.to_thread.run_sync(self._backend.tend_ahead, limiter=self._beside)
        except Exception as error:  # no matter, and must not end the program
            self._log.warning("the store was not looked after", error=repr(error))
        finally:
            self._stage = _Stage.READY
            self._rouse()
