"""Reads the head of what waits in the store into memory, for whoever gives it out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import trio

from hermesd.api.state import ApiState
from hermesd.core.ahead import MAX_BYTES, Place
from hermesd.core.job import Token
from hermesd.core.records import Waiting

MOST = 2000  # jobs read at once; most of them are given out in later rounds
MOST_BYTES = MAX_BYTES // 2  # of their payloads: a store has them several times while it reads
SURE_SECONDS = 2.0  # longer than a word of another api is under way


class ReadAhead:
    """One reading at a time, without the jobs that are on their way to the broker."""

    def __init__(self, state: ApiState):
        self._state = state
        self._one = trio.Lock()
        # The least surplus seen, since when, and when it was seen last.
        self._odds: dict[Place, tuple[int, float, float]] = {}

    async def read(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        correct: bool = False,
        without: Collection[Token] = (),
    ) -> None:
        """Read the head of what waits in these (queue, type) pairs.

        Counts can be corrected where no assignment of this api is under way; where one is, its jobs
        are `without`, which may be found waiting still, under these leases.
        """
        async with self._one:
            ahead, tally = self._state.ahead, self._state.tally
            places = [(*pair, priority) for pair in pairs for priority in tally.priorities(*pair)]
            returned = tally.returned
            ahead.begin_reading()
            wanted = Waiting(pairs=tuple(pairs), limit=MOST, most_bytes=MOST_BYTES)
            try:
                head = await self._state.queue.take(wanted)
            except BaseException:
                ahead.give_up_reading()
                raise
            jobs = [
                job
                for job in head.jobs
                if not (self._state.published.is_on_way(job.id) or job.token in without)
            ]
            picked, left = self._state.neighbours.pick(jobs, self._state.clock.monotonic())
            ahead.read(places, picked, everything=head.everything)
            for place in left:
                ahead.hidden(place)
            # One that came back meanwhile is counted, and was not read.
            if correct and head.everything and tally.returned == returned:
                self._correct(places)

    def at_odds(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Whether more jobs are counted in a line than all that stand in it, as far as is known."""
        tally = self._state.tally
        places = [(*pair, priority) for pair in pairs for priority in tally.priorities(*pair)]
        at_odds = {place for place in places if self._surplus(place)}
        self._odds = {place: seen for place, seen in self._odds.items() if place in at_odds}
        return bool(at_odds)

    def _correct(self, places: Sequence[Place]) -> None:
        """Count no more than the store has said for a while.

        What two apis tell each other of one job may come in the wrong order, and leave one too
        many; under a steady load no count of the store's would put that right. A surplus that
        goes by itself is of jobs whose word is under way.
        """
        now = self._state.clock.monotonic()
        before, self._odds = self._odds, {}
        for place in places:
            surplus = self._surplus(place)
            least, since, seen = before.get(place, (surplus, now, now))
            if now - seen > SURE_SECONDS:  # what was meanwhile is not known
                least, since = surplus, now
            least = min(least, surplus)
            if least and now - since >= SURE_SECONDS:
                self._state.tally.fewer_wait(place, least)
            elif least:
                self._odds[place] = (least, since, now)

    def _surplus(self, place: Place) -> int:
        """How many are counted beside those of a line that is known whole; none at the broker."""
        queue, job_type, priority = place
        line = self._state.ahead.line(place)
        if line is None or not line.whole or self._state.published.any_at(queue, priority):
            return 0
        counted = self._state.tally.priorities(queue, job_type).get(priority, 0)
        return max(counted - len(line.jobs), 0)
