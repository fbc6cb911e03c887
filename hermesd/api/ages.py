"""How long jobs have waited: the age of the oldest of each queue and priority."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import trio

from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable

LOOK_SECONDS: Final = 5.0
MOST_PLACES: Final = 500  # the most urgent first

Level = tuple[str, int]  # queue, priority


class Ages:
    """The agent: asks the store now and then, while something waits."""

    def __init__(self, state: ApiState):
        self._state = state
        self._since: Mapping[Level, float] = {}

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.run_once()
            await trio.sleep(LOOK_SECONDS)

    async def run_once(self) -> None:
        """Ask for the places in which jobs wait; while the store is away they grow older."""
        waiting = self._state.tally.counts().waiting
        places = sorted(waiting, key=lambda place: -place[2])[:MOST_PLACES]
        if not places:
            self._since = {}
            return
        try:
            found = await self._state.queues.oldest(places)
        except (Unavailable, OutcomeUnknown) as error:
            self._state.log.debug("cannot tell ages", why=error.detail)
            return
        since: dict[Level, float] = {}
        for (queue, _, priority), at in found.items():
            since[queue, priority] = min(at, since.get((queue, priority), at))
        self._since = since

    def levels(self) -> dict[Level, float]:
        """The age in seconds of the oldest job by queue and priority, where any waits."""
        now = self._state.clock.utc()
        return {level: max(now - since, 0.0) for level, since in self._since.items()}

    def oldest(self, queue: str | None = None) -> float:
        """The age in seconds of the oldest job of a queue, or of all; 0 where none waits."""
        fitting = (age for (name, _), age in self.levels().items() if queue in (None, name))
        return max(fitting, default=0.0)
