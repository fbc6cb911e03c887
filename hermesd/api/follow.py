"""Does what a reloaded configuration asks for beyond being read at each use."""

from __future__ import annotations

from typing import Final

import trio

from hermesd.api.outage import Outage
from hermesd.api.schedules import ScheduleBook
from hermesd.api.state import ApiState
from hermesd.config import Config
from hermesd.core.errors import OutcomeUnknown, Unavailable

RETRY_SECONDS: Final = 0.5


class Follower:
    """The agent that keeps schedules and event ring as the configuration has them.

    The schedules must have been declared before it runs.
    """

    def __init__(self, state: ApiState, schedules: ScheduleBook):
        self._state = state
        self._schedules = schedules
        self._declared = state.config.schedules
        self._resized = state.config.events

    async def run(self) -> None:
        """Follow every change, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._resize_ring)
            nursery.start_soon(self._declare_schedules)

    async def _resize_ring(self) -> None:
        while True:
            await self._state.until(lambda config: config.events != self._resized)
            self._resized = events = self._state.config.events
            self._state.ring.resize(events.ring, events.max_streams)

    async def _declare_schedules(self) -> None:
        """A store that is away delays it."""
        outage = Outage(self._state.log, "cannot declare schedules", "declaring schedules again")
        while True:
            await self._state.until(self._differs)
            wanted = self._state.config.schedules
            try:
                await self._schedules.declare(wanted)
            except (Unavailable, OutcomeUnknown) as error:
                outage.failed(error)
                await trio.sleep(RETRY_SECONDS)
                continue
            outage.worked()
            self._declared = wanted

    def _differs(self, config: Config) -> bool:
        return config.schedules != self._declared
