"""What operators have told this worker; each order is carried out once, whichever api passes it."""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from hermesd.core.orders import OrderKind, WorkerOrder

MOST_KNOWN: Final = 64  # orders that are told from new ones


class Standing:
    """Whether this worker takes jobs; `since` is in UTC seconds, 0 while nothing was ordered.

    `leave` is set when it is to drain, `at_once` when without waiting for its jobs; `ordered`: an
    operator wants it gone, so that it must not come back by itself.
    """

    def __init__(self) -> None:
        self.paused = False
        self.since = 0.0
        self.reason = ""
        self.ordered = False
        self.leave = trio.Event()
        self.at_once = trio.Event()
        self._known: deque[str] = deque(maxlen=MOST_KNOWN)

    def obey(self, order: WorkerOrder, now: float) -> bool:
        """Take an order over; False where it was taken before, or comes too late: it leaves."""
        if order.id in self._known:
            return False
        self._known.append(order.id)
        if order.kind is OrderKind.DRAIN:
            return self._drain(order, now)
        paused = order.kind is OrderKind.PAUSE
        if self.leave.is_set():
            return False
        if paused is not self.paused:
            self.since = now if paused else 0.0
        self.paused = paused
        self.reason = order.reason if paused else ""
        return True

    def leaves(self, now: float) -> None:
        """It drains from now on, by whosever word."""
        if not self.leave.is_set():
            self.leave.set()
            self.since, self.reason, self.paused = now, "", False

    def _drain(self, order: WorkerOrder, now: float) -> bool:
        again = self.leave.is_set()
        self.ordered = True
        self.leaves(now)
        if not again or order.reason:
            self.reason = order.reason
        if order.at_once:
            self.at_once.set()
        return True
