"""How long jobs have waited: the age of the oldest of each queue and priority."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import trio

from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.words import Place

LOOK_SECONDS: Final = 5.0
MOST_PLACES: Final = 500  # the most urgent first

Level = tuple[str, int]  # queue, priority


class Ages:
    """The agent: asks the store now and then, while something waits.

    An age is that of the last look and not of now: what was the oldest then may run by now, and
    others may wait in its place.
    """

    def __init__(self, state: ApiState):
        self._state = state
        self._looked_at = 0.0
        self._since: Mapping[Place, float] = {}

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.run_once()
            await trio.sleep(LOOK_SECONDS)

    async def run_once(self) -> None:
        """Ask for the places in which jobs wait; while the store is away they grow older."""
        waiting = self._state.tally.counts().waiting
        places = sorted(waiting, key=lambda place: -place[2])[:MOST_PLACES]
        try:
            self._since = await self._state.queues.oldest(places) if places else {}
        except (Unavailable, OutcomeUnknown) as error:
            self._state.log.debug("cannot tell ages", why=error.detail)
        self._looked_at = self._state.clock.utc()

    def levels(self) -> dict[Level, float]:
        """The age in seconds of the oldest job by queue and priority, where any waits."""
        waiting = self._state.tally.counts().waiting
        ages: dict[Level, float] = {}
        for place in self._since.keys() & waiting.keys():
            queue, _, priority = place
            age = max(self._looked_at - self._since[place], 0.0)
            ages[queue, priority] = max(age, ages.get((queue, priority), 0.0))
        return ages

    def oldest(self, queue: str | None = None) -> float:
        """The age in seconds of the oldest job of a queue, or of all; 0 where none waits."""
        fitting = (age for (name, _), age in self.levels().items() if queue in (None, name))
        return max(fitting, default=0.0)
