"""What a submit waits for a moment: the workers' words on the jobs that it routed directly."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Protocol

import trio

from hermesd.config.live import Live
from hermesd.core.workerview import Held

PATIENCE_TICK_SECONDS = 0.05


class Wait(Protocol):
    """What somebody waits for."""

    def give_up(self) -> None:
        """Wait no longer; nothing, where the wait is over."""


class Acceptances:
    """Waits for the words on all jobs that one submit has routed directly; one task does, once."""

    __slots__ = ("_missing", "_parked")

    def __init__(self) -> None:
        self._missing = 0
        self._parked: trio.lowlevel.Task | None = None

    def expect(self) -> Waiter:
        """One more word to wait for."""
        self._missing += 1
        return Waiter(self.came)

    def came(self) -> None:
        """One of the words is in."""
        self._missing -= 1
        if not self._missing:
            self.give_up()

    async def all_in(self) -> None:
        """Return when all words are in, or when it is given up; cancellation does not end it."""
        if self._missing:
            # A bare park that no cancellation ends; an Event in a shielding CancelScope costs 5 µs
            # more (measured), a tenth of what a submit costs in this package.
            self._parked = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(stay)

    def give_up(self) -> None:
        """Wait no longer for the words that are missing."""
        task, self._parked = self._parked, None
        if task is not None:
            trio.lowlevel.reschedule(task)


def stay(_: object) -> trio.lowlevel.Abort:
    """For trio.lowlevel.wait_task_rescheduled: a cancellation does not end this wait."""
    return trio.lowlevel.Abort.FAILED


class Patience:
    """Bounds the waits of all submits with one task, which costs less than a deadline for each.

    The task runs in `nursery`, and only while there is something to bound. A wait is as long as
    `api.dispatch_wait_seconds` says when it begins.
    """

    def __init__(self, live: Live, nursery: trio.Nursery) -> None:
        self._live = live
        self._nursery = nursery
        self._waits: deque[tuple[float, Sequence[Wait]]] = deque()
        self._running = False

    @property
    def seconds(self) -> float:
        """How long a wait is that begins now."""
        return self._live.config.api.dispatch_wait_seconds

    def bound(self, waits: Sequence[Wait], since: float | None = None) -> None:
        """Have them given up after the time, or at most PATIENCE_TICK_SECONDS later.

        They have begun now, or at `since` in trio's time.
        """
        until = (trio.current_time() if since is None else since) + self.seconds
        shorter = bool(self._waits) and until < self._waits[-1][0]
        self._waits.append((until, waits))
        if shorter:  # it began before, or the time was changed: the soonest must be the first
            self._waits = deque(sorted(self._waits, key=itemgetter(0)))
        if not self._running:
            self._running = True
            self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        try:
            while self._waits:
                await trio.sleep(PATIENCE_TICK_SECONDS)
                now = trio.current_time()
                while self._waits and self._waits[0][0] <= now:
                    _give_up(self._waits.popleft()[1])
        finally:
            self._running = False
            for _, waits in self._waits:  # none, but where the api ends
                _give_up(waits)


def _give_up(waits: Sequence[Wait]) -> None:
    for wait in waits:
        wait.give_up()


class Waiter:
    """The word on one job: the first that comes counts, and is told by a call of `came`.

    `worker_id` is None as long as no worker is known to have the job; `note` tells why.
    """

    __slots__ = ("_came", "note", "worker_id")

    def __init__(self, came: Callable[[], None]) -> None:
        self._came: Callable[[], None] | None = came
        self.worker_id: str | None = None
        self.note = "committed; the worker has not answered yet"

    @property
    def told(self) -> bool:
        """Whether the word is in, or is not waited for any more."""
        return self._came is None

    def accepted(self, worker_id: str) -> None:
        """A worker has the job."""
        self._settle(worker_id, "")

    def queued(self, note: str) -> None:
        """The job waits after all."""
        self._settle(None, note)

    def give_up(self) -> None:
        """No word came in time."""
        self._settle(None, self.note)

    def _settle(self, worker_id: str | None, note: str) -> None:
        came, self._came = self._came, None
        if came is not None:
            self.worker_id, self.note = worker_id, note
            came()


class Sending:
    """A committed assignment on its way to its worker."""

    __slots__ = ("held", "waiter")

    def __init__(self, held: Held, waiter: Waiter | None):
        self.held = held
        self.waiter = waiter
