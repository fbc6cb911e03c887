"""Minutes of the history: into the store, and back from it for the charts."""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from hermesd.api.state import ApiState
from hermesd.core.chart import LONGEST_WINDOW_SECONDS, Chart
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.points import MINUTE_SECONDS, KeptPoint, Point, minutes_of
from hermesd.ports import Points
from hermesd.signal import Signal

MOST_UNKEPT: Final = 120  # minutes that wait for a store that is away
OTHERS_SECONDS: Final = 10.0  # in which the other apis have written their minute too
REREAD_SECONDS: Final = 3 * MINUTE_SECONDS
CHUNK_SECONDS: Final = 3600  # of one read, so that none is long


class Archivist:
    """The agent: the store has the minutes of all apis, and those of lives before this one.

    While the store is away up to two hours of minutes wait; what does not fit is lost.
    """

    def __init__(self, state: ApiState, points: Points, chart: Chart):
        self._state = state
        self._points = points
        self._chart = chart
        self._unkept: deque[Point] = deque(maxlen=MOST_UNKEPT)
        self._news = Signal()
        self._loaded = False

    def keep(self, minute: Point) -> None:
        """A minute of this api is over."""
        self._unkept.append(minute)
        self._news.set()

    def read_anew(self) -> None:
        """Have the last day read once more."""
        self._loaded = False
        self._news.set()

    async def run(self) -> None:
        """Read the last day, then write each minute and read what the others have written."""
        while True:
            if not self._loaded:
                self._loaded = True  # first, since it may be wanted anew meanwhile
                self._loaded = await self.load() and self._loaded
            await self._news.wait()
            if await self.write():
                await trio.sleep(OTHERS_SECONDS)
                now = int(self._state.clock.utc())
                begun = now - now % MINUTE_SECONDS
                await self._read(begun - REREAD_SECONDS, begun)

    async def load(self) -> bool:
        """The last day by the store; False where that is away."""
        now = int(self._state.clock.utc())
        begin = now - LONGEST_WINDOW_SECONDS
        for start in range(begin - begin % CHUNK_SECONDS, now, CHUNK_SECONDS):
            if not await self._read(start, min(start + CHUNK_SECONDS, now)):
                return False
        return True

    async def write(self) -> bool:
        """Keep what waits; False where the store is away."""
        minutes = list(self._unkept)
        kept = [
            KeptPoint(api=self._state.name, boot=self._state.boot, point=minute)
            for minute in minutes
        ]
        forget_before = int(self._state.clock.utc()) - LONGEST_WINDOW_SECONDS - CHUNK_SECONDS
        try:
            await self._points.keep(kept, forget_before=forget_before)
        except (Unavailable, OutcomeUnknown) as error:
            self._state.log.debug("cannot keep the history yet", why=error.detail)
            return False
        written = set(map(id, minutes))
        fresh = [minute for minute in self._unkept if id(minute) not in written]
        self._unkept = deque(fresh, maxlen=MOST_UNKEPT)
        return True

    async def _read(self, begin: int, end: int) -> bool:
        """The minutes from `begin` until before `end`, as all apis have written them."""
        try:
            kept = await self._points.between(begin, end)
        except Unavailable as error:
            self._state.log.debug("cannot read the history", why=error.detail)
            return False
        self._chart.replace(minutes_of(kept))
        return True
