"""Tells the other apis what happens here: that this one is there, counts, events, what waits."""

from __future__ import annotations

from typing import Final

import trio

from hermesd.api.state import ApiState
from hermesd.core.job import Rung
from hermesd.core.untold import UntoldEvents, UntoldMoves
from hermesd.core.words import Here, Work
from hermesd.signal import Signal

GREETING_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.05
LOOK_SECONDS: Final = 1.0  # for counts that change without an event
MOST_PLACES: Final = 50


class Telling:
    """The agent; where no other api is there, it only greets."""

    def __init__(self, state: ApiState):
        self._state = state
        self._news = Signal()
        self._greeted_at = float("-inf")
        self._told = False  # whether waiting jobs went to the broker then
        self._accepted = 0
        self._gained = state.tally.gained

    async def run(self) -> None:
        """Greet, and tell what there is at once; but at most 20 times a second."""
        while True:
            self.run_once()
            await trio.sleep(PAUSE_SECONDS)
            await self._news.wait(LOOK_SECONDS)

    def run_once(self) -> None:
        """Tell what there is."""
        now = self._state.clock.monotonic()
        for name in self._state.neighbours.forget_silent(now):
            self._state.log.info("api not heard of any more", api=name)
        if now - self._greeted_at >= GREETING_SECONDS or self._told != self._publishes():
            self._greet(now)
        self._gather(not self._state.neighbours.alone)
        self.tell_changes()

    def greet(self) -> None:
        """Say that this api is there, to one that may not know."""
        self._greet(self._state.clock.monotonic())
        self._gather(not self._state.neighbours.alone)

    def take_leave(self) -> None:
        """Say that it is about to stop."""
        self.tell_changes()
        self._state.bus.tell(Here(leaving=True))

    def tell_changes(self) -> None:
        """Say what has changed and happened since the last time."""
        state = self._state
        if state.tally.untold is not None:
            accepted, self._accepted = (
                state.metrics.accepted - self._accepted,
                state.metrics.accepted,
            )
            if moved := state.tally.untold.take(accepted):
                state.bus.tell(moved)
        if state.ring.untold is not None and (events := state.ring.untold.take()):
            state.bus.tell(events)

    def tell_left(self) -> None:
        """Say what waits still, now that nothing more can be given to a worker here."""
        tally = self._state.tally
        if tally.gained == self._gained or self._state.neighbours.alone:
            return
        self._gained = tally.gained
        places = [
            (*pair, priority) for pair in tally.pairs() for priority in tally.priorities(*pair)
        ]
        if not places:
            return
        self.tell_changes()  # first, since whoever hears of the work counts it
        places.sort(key=lambda place: -place[2])
        self._state.bus.tell(Work(places=tuple(places[:MOST_PLACES])))

    def _greet(self, now: float) -> None:
        self._greeted_at, self._told = now, self._publishes()
        self._state.bus.tell(Here(broker=self._told))

    def _publishes(self) -> bool:
        return self._state.queue.rung is Rung.AMQP

    def _gather(self, wanted: bool) -> None:
        state = self._state
        if not wanted:
            state.tally.untold = state.ring.untold = None
        elif state.ring.untold is None:
            state.tally.untold = UntoldMoves()
            state.ring.untold = UntoldEvents(self._news.set)
            self._accepted = state.metrics.accepted
