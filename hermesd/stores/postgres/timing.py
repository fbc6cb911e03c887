"""The database's clock, as seen from here without asking it each time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

DRIFT: Final = 0.0001  # by how much two clocks may go apart in a second


class _Sight(NamedTuple):
    """It was `there` at `here`, give or take `doubt`; seconds, `here` of monotonic time."""

    there: float
    here: float
    doubt: float

    def at(self, now: float) -> float:
        """The time there at another moment here."""
        return self.there + (now - self.here)


class DatabaseTime:
    """UTC seconds by the database; a step of this machine's wall clock does not move it.

    Nothing is known before the first measurement: until then it is `utc`. Measured in one thread,
    asked in any.
    """

    def __init__(
        self, utc: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._utc = utc
        self._monotonic = monotonic
        self._sight: _Sight | None = None

    def utc(self) -> float:
        """The time there now."""
        sight = self._sight
        return self._utc() if sight is None else sight.at(self._monotonic())

    def measured(self, there: float, sent: float, received: float) -> None:
        """It was `there` at some moment between `sent` and `received`, of monotonic time.

        Taken where it is surer than what is known, which gets less sure with time, or where it
        proves that wrong: a clock was set, or this machine slept.
        """
        doubt = (received - sent) / 2
        new, old = _Sight(there, sent + doubt, doubt), self._sight
        if old is not None:
            left = old.doubt + DRIFT * (new.here - old.here)
            if doubt > left and abs(old.at(new.here) - there) <= doubt + left:
                return
        self._sight = new
