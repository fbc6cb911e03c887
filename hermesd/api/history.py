"""What an api did, step by step, for the charts; others are told of it, minutes are stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

import trio

from hermesd.api.ages import Ages
from hermesd.api.archive import Archivist
from hermesd.api.state import ApiState
from hermesd.core.amqp_names import band_of
from hermesd.core.chart import FIVE_SECONDS, Chart, Window
from hermesd.core.points import BANDS, MINUTE_SECONDS, STEP_SECONDS, Point, in_turn
from hermesd.core.states import State
from hermesd.core.words import Stepped
from hermesd.observe.flow import COUNTED, TypeFlow, whole
from hermesd.ports import FleetView, Points

# Between two looks at the flow that `recent` can begin with, and how many of them are kept.
LOOK_SECONDS: Final = 30.0
MOST_LOOKS: Final = 11
MOST_SKEW_SECONDS: Final = 60  # between the clocks of two apis


class Recent(NamedTuple):
    """The jobs of the last minutes at this api by type; `window_seconds` is how long that is."""

    window_seconds: float
    types: Mapping[str, TypeFlow]

    def whole(self) -> TypeFlow:
        """All types together."""
        return whole(self.types.values())


class Historian:
    """The agent: closes a step every five seconds, and a minute with every twelfth of them."""

    def __init__(self, state: ApiState, points: Points, fleet: FleetView, ages: Ages):
        self._state = state
        self._fleet = fleet
        self._ages = ages
        self._chart = Chart()
        self._archivist = Archivist(state, points, self._chart)
        self._steps: list[Point] = []  # this api's own, of the present minute
        self._lag_seconds = 0.0
        self._stepped_at = state.clock.monotonic()
        self._flow = state.metrics.flow.copy()
        self._looks = deque([(self._stepped_at, self._flow)], maxlen=MOST_LOOKS)

    async def run(self) -> None:
        """Keep the history for ever."""
        self._stepped_at = self._state.clock.monotonic()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._archivist.run)
            while True:
                now = self._state.clock.utc()
                # A hair before a full step counts as past it: timers are as exact as floats.
                end = int(now / STEP_SECONDS + 0.01) * STEP_SECONDS + STEP_SECONDS
                await trio.sleep(end - now)
                self.step(end - STEP_SECONDS)

    async def leave(self) -> None:
        """The api stops: what is not written yet is written."""
        now = int(self._state.clock.utc())
        self.step(now - now % STEP_SECONDS)
        self._close()
        await self._archivist.write()

    def lagged(self, seconds: float) -> None:
        """The event loop ran a timer so late."""
        self._lag_seconds = max(self._lag_seconds, seconds)

    def heard(self, point: Point) -> None:
        """Another api has told of a step; one of another time is left out."""
        if abs(point.at - self._state.clock.utc()) <= MOST_SKEW_SECONDS:
            self._chart.add(point)

    def window(self, seconds: int) -> Window:
        """The fleet's steps of the last `seconds`."""
        return self._chart.window(self._state.clock.utc(), seconds)

    def recent_fleet(self) -> Point | None:
        """What all apis together did in the steps of the last five minutes; None: no step is over.

        An api that was not heard meanwhile is left out until its minutes are read from the store.
        """
        known = [point for _, point in self.window(FIVE_SECONDS).steps if point is not None]
        return in_turn(known, known[0].at) if known else None

    def recent(self) -> Recent:
        """The jobs of about the last five minutes at this api, or since the start."""
        begun, flow = self._looks[0]
        seconds = self._state.clock.monotonic() - begun
        return Recent(seconds, self._state.metrics.flow.since(flow))

    def step(self, at: int) -> None:
        """A step is over that began at that UTC second."""
        if self._steps and self._steps[0].at // MINUTE_SECONDS != at // MINUTE_SECONDS:
            self._close()  # the clock was set, or this process did not run
        if self._chart.forget_future(at, MOST_SKEW_SECONDS + 2 * STEP_SECONDS):
            self._archivist.read_anew()  # what the chart has dropped in favour of the future
        point = self._take(at)
        self._steps.append(point)
        self._chart.add(point)
        if not self._state.neighbours.alone:
            self._state.bus.tell(Stepped(point=point))
        if (at + STEP_SECONDS) % MINUTE_SECONDS == 0:
            self._close()

    def _close(self) -> None:
        """The present minute is over."""
        if self._steps:
            minute = self._steps[0].at - self._steps[0].at % MINUTE_SECONDS
            self._chart.close(minute)
            self._archivist.keep(in_turn(self._steps, minute))
            self._steps = []

    def _take(self, at: int) -> Point:
        state, now = self._state, self._state.clock.monotonic()
        done = whole(state.metrics.flow.since(self._flow).values())
        self._flow = state.metrics.flow.copy()
        if now - self._looks[-1][0] >= LOOK_SECONDS:
            self._looks.append((now, self._flow))
        seconds, self._stepped_at = now - self._stepped_at, now
        lag_seconds, self._lag_seconds = self._lag_seconds, 0.0
        totals = self._fleet.totals()
        return Point(
            at=at,
            seconds=round(seconds, 3),
            **{name: getattr(done, name) for name in COUNTED},
            wait=done.wait.packed(),
            run=done.run.packed(),
            waiting=self._waiting(),
            oldest_seconds=round(self._ages.oldest(), 3),
            scheduled=state.tally.states[State.SCHEDULED],
            running=state.tally.states[State.RUNNING],
            slots=totals["slots"],
            busy=max(totals["slots"] - totals["free"], 0),
            workers=totals["workers"],
            rung=str(state.queue.rung),
            lag_seconds=round(lag_seconds, 6),
        )

    def _waiting(self) -> tuple[int, ...]:
        """How many jobs wait, by band."""
        depths = dict.fromkeys(BANDS, 0)
        for (_, _, priority), number in self._state.tally.counts().waiting.items():
            depths[band_of(priority)] += number
        return tuple(depths.values())
