"""Which of a schedule's due fires run, which are let go, and when it fires next.

A fire is late once its time is more than the grace ago; late ones follow the misfire policy, all
others run. However long nobody could fire, the work is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Final, Protocol

import msgspec

from hermesd.core.schedule import Misfire, ScheduleTerms

MAX_ROUND: Final = 100  # fires of one schedule in one transaction; the others come after it
_WALKED: Final = 4 * MAX_ROUND


class Timetable(Protocol):
    """When a schedule fires; a pure function of its definition."""

    def fires_after(self, moment: float) -> Iterator[float]:
        """The fire times after `moment`, rising: whole UTC seconds."""


class DueFires(msgspec.Struct, frozen=True, kw_only=True):
    """The times that run, oldest first; the last one that is let go (None: none is); the next."""

    times: tuple[float, ...]
    missed: float | None
    next_at: float | None


def next_fire(timetable: Timetable, moment: float) -> float | None:
    """The first fire time after `moment`, None where there is none ever."""
    return next(timetable.fires_after(moment), None)


def due_fires(timetable: Timetable, terms: ScheduleTerms, first: float, now: float) -> DueFires:
    """What is due at `now` of a schedule whose oldest open fire is `first`, at most MAX_ROUND.

    Where more are due, `next_at` is one of them.
    """
    edge = math.ceil(now - terms.misfire_grace_seconds)
    start = max(math.ceil(first), edge)
    on_time = [
        time
        for time in islice(_upto(timetable, start - 1, now), MAX_ROUND + 1)
        if time >= first  # a first fire that the timetable does not have any more
    ]
    late, missed = _late(timetable, terms, first, min(edge, now), alone=not on_time)
    times = [*late, *on_time]
    if len(times) > MAX_ROUND:
        return DueFires(times=tuple(times[:MAX_ROUND]), missed=missed, next_at=times[MAX_ROUND])
    next_at = next_fire(timetable, max([now, *times]))
    return DueFires(times=tuple(times), missed=missed, next_at=next_at)


def _late(
    timetable: Timetable, terms: ScheduleTerms, first: float, edge: float, *, alone: bool
) -> tuple[list[float], float | None]:
    """The late fires that run all the same, and the last one that does not."""
    if first >= edge:
        return [], None
    most = {
        Misfire.SKIP: 0,
        Misfire.RUN_ONCE: 1 if alone else 0,  # one that is on time stands for them too
        Misfire.CATCH_UP: terms.catch_up_limit,
    }[terms.misfire]
    found = _newest(timetable, first, edge, most + 1)
    if len(found) > most:
        return found[1:], found[0]
    return found, None


def _newest(timetable: Timetable, first: float, edge: float, most: int) -> list[float]:
    """The last `most` fires from `first` on and before `edge`."""
    before = math.ceil(edge) - 1  # the last whole second that is before it
    found = list(islice(_upto(timetable, math.ceil(first) - 1, before), _WALKED))
    if len(found) < _WALKED:
        return found[-most:]
    # Too many to walk over. A second later there is one less behind it at most, so that the
    # second is found by halving at which there are as many as are wanted.
    low, high = math.ceil(first) - 1, before
    while high - low > 1:
        middle = (low + high) // 2
        if _count(timetable, middle, before, most) >= most:
            low = middle
        else:
            high = middle
    return list(islice(_upto(timetable, low, before), most))


def _count(timetable: Timetable, moment: float, last: float, most: int) -> int:
    return sum(1 for _ in islice(_upto(timetable, moment, last), most))


def _upto(timetable: Timetable, moment: float, last: float) -> Iterator[float]:
    return takewhile(lambda time: time <= last, timetable.fires_after(moment))
