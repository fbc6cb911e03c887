"""Deadlines of all connections of one server, enforced by one task.

A cancel scope per wait would cost every request two changes of trio's deadline heap. Here a wait
is two assignments, and the price is that a deadline passes up to one tick late.
"""

import math
from typing import Protocol

import trio

from hermesd.http.limits import HttpLimits
from hermesd.http.responses import ResponseWriter

NEVER = math.inf
_MIN_TICK_SECONDS = 0.02
_MAX_TICK_SECONDS = 0.5


class Watched(Protocol):
    """What has deadlines, on the monotonic clock, in seconds; NEVER where it waits for nothing."""

    read_by: float
    write_by: float

    def expire(self) -> None:
        """One of the deadlines has passed. Must not block."""


class Watch:
    """The coarse clock: `now`, and `after()` for a deadline that never passes early."""

    def __init__(self, limits: HttpLimits, writer: ResponseWriter) -> None:
        self._writer = writer
        self.now = trio.current_time()
        self.watched: set[Watched] = set()
        self.limit(limits)

    def limit(self, limits: HttpLimits) -> None:
        """Tick as these need it; deadlines that are set stay."""
        shortest = min(
            limits.header_seconds, limits.body_seconds, limits.write_seconds, limits.idle_seconds
        )
        self._tick_seconds = min(max(shortest / 8, _MIN_TICK_SECONDS), _MAX_TICK_SECONDS)
        self.idle_seconds = limits.idle_seconds + self._tick_seconds

    def after(self, seconds: float) -> float:
        """The deadline `seconds` from now."""
        return self.now + self._tick_seconds + seconds

    async def run(self) -> None:
        """Move the clock and expire what is due, for ever."""
        while True:
            await trio.sleep(self._tick_seconds)
            self.now = now = trio.current_time()
            self._writer.refresh()
            for watched in self.watched:
                if watched.read_by < now or watched.write_by < now:
                    watched.expire()
