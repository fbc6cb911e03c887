"""Reads the head of what waits in the store into memory, for whoever gives it out."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from hermesd.api.state import ApiState
from hermesd.core.records import Waiting

MOST = 1000  # jobs read at once; most of them are given out in later rounds


class ReadAhead:
    """One reading at a time, without the jobs that are on their way to the broker."""

    def __init__(self, state: ApiState):
        self._state = state
        self._one = trio.Lock()

    async def read(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Read the head of what waits in these (queue, type) pairs."""
        async with self._one:
            ahead, tally = self._state.ahead, self._state.tally
            places = [(*pair, priority) for pair in pairs for priority in tally.priorities(*pair)]
            ahead.begin_reading()
            try:
                found = await self._state.queue.take(Waiting(pairs=tuple(pairs), limit=MOST))
            except BaseException:
                ahead.give_up_reading()
                raise
            # Those on their way are fewer than MOST: a reading that was cut off is never empty.
            jobs = [job for job in found if not self._state.published.is_on_way(job.id)]
            picked, left = self._state.neighbours.pick(jobs, self._state.clock.monotonic())
            ahead.read(places, picked, everything=len(found) < MOST)
            for place in left:
                ahead.hidden(place)
