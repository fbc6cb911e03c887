"""What a submit waits for a moment: the workers' words on the jobs that it routed directly."""

from __future__ import annotations

from collections import deque

import msgspec
import trio

from hermesd.core.registry import Held

PATIENCE_TICK_SECONDS = 0.05


class Acceptances:
    """The words of the workers, by the index of the job in its submit."""

    def __init__(self) -> None:
        self.expected = 0
        self._words: dict[int, tuple[str | None, str]] = {}
        self._open: set[int] = set()
        self._all = trio.Event()

    def expect(self, index: int) -> Waiter:
        """A waiter for the job at `index` of the submit."""
        self.expected += 1
        self._open.add(index)
        return Waiter(self, index)

    def expects(self, index: int) -> bool:
        """Whether that job was routed directly."""
        return index in self._open or index in self._words

    def settled(self, index: int, worker_id: str | None, note: str) -> None:
        """A worker took the job, or (None) it went to the queue."""
        if index in self._open:
            self._open.discard(index)
            self._words[index] = (worker_id, note)
            if not self._open:
                self._all.set()

    async def all_in(self) -> None:
        """Return when all words are in, or when it is given up."""
        await self._all.wait()

    def give_up(self) -> None:
        """Wait no longer for the words that are missing."""
        self._all.set()

    def accepted_by(self, index: int) -> str | None:
        """The worker that has the job, None where none is known to."""
        return self._words.get(index, (None, ""))[0]

    def note(self, index: int) -> str:
        """Why it has none."""
        return self._words.get(index, (None, ""))[1]


class Patience:
    """Bounds the waits of all submits with one task, which costs less than a deadline for each.

    The task runs in `nursery`, and only while there is something to bound.
    """

    def __init__(self, seconds: float, nursery: trio.Nursery) -> None:
        self._seconds = seconds
        self._nursery = nursery
        self._waits: deque[tuple[float, Acceptances]] = deque()
        self._running = False

    def begin(self, wait: Acceptances) -> None:
        """`wait` is given up after the time, at most PATIENCE_TICK_SECONDS later."""
        self._waits.append((trio.current_time() + self._seconds, wait))
        if not self._running:
            self._running = True
            self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        try:
            while self._waits:
                await trio.sleep(PATIENCE_TICK_SECONDS)
                now = trio.current_time()
                while self._waits and self._waits[0][0] <= now:
                    self._waits.popleft()[1].give_up()
        finally:
            self._running = False
            for _, wait in self._waits:  # none, but where the api ends
                wait.give_up()


class Waiter(msgspec.Struct, frozen=True):
    """One job's place in an Acceptances."""

    acceptances: Acceptances
    index: int

    def accepted(self, worker_id: str) -> None:
        """A worker has the job."""
        self.acceptances.settled(self.index, worker_id, "")

    def queued(self, note: str) -> None:
        """The job waits after all."""
        self.acceptances.settled(self.index, None, note)


class Sending:
    """A committed assignment on its way to its worker."""

    __slots__ = ("held", "waiter")

    def __init__(self, held: Held, waiter: Waiter | None):
        self.held = held
        self.waiter = waiter
