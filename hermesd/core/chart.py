"""The last 24 hours of a fleet in memory: fine steps of the last minutes, before that coarser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from hermesd.core.points import MINUTE_SECONDS, STEP_SECONDS, Point, in_turn, rest, side_by_side

FIVE_SECONDS: Final = 5 * MINUTE_SECONDS
# Up to which window each width of step is shown.
FINE_WINDOW_SECONDS: Final = 15 * 60
MINUTES_WINDOW_SECONDS: Final = 6 * 3600
LONGEST_WINDOW_SECONDS: Final = 24 * 3600
_WHOLE_STEP_SECONDS: Final = 0.9 * STEP_SECONDS  # timers are late now and then
# What is kept beside the window, since a window need not begin with a step.
_SPARE_SECONDS: Final = 2 * FIVE_SECONDS


class Window(NamedTuple):
    """Steps of one width, one after the other: when each begins, None where nothing is known."""

    step_seconds: int
    steps: Sequence[tuple[int, Point | None]]


class Chart:
    """Steps, minutes and spans of five minutes by when they begin, in UTC seconds; bounded."""

    def __init__(self) -> None:
        self._steps: dict[int, Point] = {}
        self._minutes: dict[int, Point] = {}
        self._fives: dict[int, Point] = {}
        self._begun: int | None = None  # the first step, where a life before may have seen a part
        self._newest = 0  # of the steps
        self._closed = 0  # the last minute that is over

    def add(self, point: Point) -> None:
        """A step as one api saw it, beside what others saw of the same."""
        if not self._steps and point.seconds < _WHOLE_STEP_SECONDS:
            self._begun = point.at
        known = self._steps.get(point.at)
        seen = (point,) if known is None else (known, point)
        self._steps[point.at] = side_by_side(seen, point.at)
        self._newest = max(self._newest, point.at)
        _trim(self._steps, FINE_WINDOW_SECONDS)

    def close(self, minute: int) -> None:
        """The minute that begins then is over: it is what its steps were."""
        self._closed = max(self._closed, minute)
        if steps := self._steps_of(minute):
            self.replace([in_turn(steps, minute)])

    def replace(self, minutes: Iterable[Point]) -> None:
        """Whole minutes as the store has them, whatever was known of them."""
        fives = set()
        for point in minutes:
            self._minutes[point.at] = point
            fives.add(_floor(point.at, FIVE_SECONDS))
        for five in fives:
            inner = list(_known(self._minutes, five, FIVE_SECONDS, MINUTE_SECONDS))
            self._fives[five] = in_turn(inner, five)
        _trim(self._minutes, MINUTES_WINDOW_SECONDS)
        _trim(self._fives, LONGEST_WINDOW_SECONDS)

    def forget_future(self, now: int, slack_seconds: int) -> bool:
        """Drop what begins later than that: the clock was ahead then; whether there was any."""
        late = [
            (points, one)
            for points in (self._steps, self._minutes, self._fives)
            for one in points
            if one > now + slack_seconds
        ]
        for points, one in late:
            del points[one]
        if late:
            self._newest = max(self._steps, default=0)
            self._closed = min(self._closed, _floor(now, MINUTE_SECONDS) - MINUTE_SECONDS)
        return bool(late)

    def window(self, now: float, seconds: int) -> Window:
        """The steps of the last `seconds`; of fine ones those that are over."""
        if seconds <= FINE_WINDOW_SECONDS:
            return self._window(STEP_SECONDS, now - STEP_SECONDS, seconds)
        if seconds <= MINUTES_WINDOW_SECONDS:
            return self._window(MINUTE_SECONDS, now, seconds)
        return self._window(FIVE_SECONDS, now, seconds)

    def _window(self, width: int, now: float, seconds: int) -> Window:
        last = _floor(int(now), width)
        look = {STEP_SECONDS: self._step, MINUTE_SECONDS: self._minute, FIVE_SECONDS: self._five}
        first = last - (seconds // width - 1) * width
        return Window(width, [(at, look[width](at)) for at in range(first, last + width, width)])

    def _step(self, at: int) -> Point | None:
        """A step; where it was not seen whole, its share of the minute that the store may have."""
        begin = _floor(at, MINUTE_SECONDS)
        if (at in self._steps and at != self._begun) or begin not in self._minutes:
            return self._steps.get(at)
        seen = [point for point in self._steps_of(begin) if point.at != self._begun]
        minute = self._minute(begin)
        end = min(begin + MINUTE_SECONDS, max(self._newest, at) + STEP_SECONDS)
        unseen = (end - begin) // STEP_SECONDS - len(seen)
        share = None if minute is None else rest(minute, seen, at, unseen)
        return self._steps.get(at) if share is None else share

    def _minute(self, at: int) -> Point | None:
        """A minute; of one that is not over the store may have what was before this life."""
        parts = [self._minutes[at]] if at in self._minutes else []
        if at > self._closed:
            parts += self._steps_of(at)
        return in_turn(parts, at) if parts else None

    def _five(self, at: int) -> Point | None:
        """A span of which some minute is not closed yet is put together anew."""
        if not at <= self._newest < at + FIVE_SECONDS:
            return self._fives.get(at)
        minutes = (self._minute(one) for one in range(at, at + FIVE_SECONDS, MINUTE_SECONDS))
        inner = [point for point in minutes if point is not None]
        return in_turn(inner, at) if inner else None

    def _steps_of(self, minute: int) -> list[Point]:
        return list(_known(self._steps, minute, MINUTE_SECONDS, STEP_SECONDS))


def _known(points: dict[int, Point], at: int, span: int, width: int) -> Iterator[Point]:
    return (points[one] for one in range(at, at + span, width) if one in points)


def _floor(at: int, width: int) -> int:
    return at - at % width


def _trim(points: dict[int, Point], seconds: int) -> None:
    oldest = max(points, default=0) - seconds - _SPARE_SECONDS
    for at in [at for at in points if at < oldest]:
        del points[at]
