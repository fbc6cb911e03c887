"""Orders to workers that only other apis of the store have a line to: asked of these, over the bus.

A word that is lost costs an answer: whoever gave the order is told that nobody has confirmed it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Final, NamedTuple

import trio

from hermesd.api.state import ApiState
from hermesd.core.fleet import WorkerStatus
from hermesd.core.words import FarOrder, FarOrderDone

ASK_SECONDS: Final = 1.0  # over what the other api waits for its workers: the way there and back
MOST_IN_WORD: Final = 40  # workers, so that a word fits a letter
MOST_WAITING: Final = 100  # words of other apis
MOST_AT_ONCE: Final = 32  # of them that are carried out


class Standing(NamedTuple):
    """How a worker is by an api that has a line to it; `taken`: it has confirmed the order."""

    status: WorkerStatus
    taken: bool


class _Asked:
    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = set(missing)
        self.answers: dict[str, Standing] = {}
        self.whole = trio.Event()


class Asking:
    """What this api asks of the others."""

    def __init__(self, state: ApiState) -> None:
        self._state = state
        self._numbers = count(1)
        self._asked: dict[int, _Asked] = {}

    async def ask(
        self, order: FarOrder, incarnations: Sequence[str], seconds: float
    ) -> Mapping[str, Standing]:
        """Have these workers ordered, and wait `seconds` at most; how they are, as far as is told.

        Of `order` the numbers, the boot and the incarnations are filled in here.
        """
        if self._state.neighbours.alone:
            return {}
        asked = _Asked(incarnations)
        numbers = []
        for start in range(0, len(incarnations), MOST_IN_WORD):
            number = next(self._numbers)
            numbers.append(number)
            self._asked[number] = asked
            some = tuple(incarnations[start : start + MOST_IN_WORD])
            self._state.bus.tell(order.to(self._state.boot, number, some))
        try:
            with trio.move_on_after(seconds + ASK_SECONDS):
                await asked.whole.wait()
        finally:
            for number in numbers:
                del self._asked[number]
        return asked.answers

    def heard(self, done: FarOrderDone) -> None:
        """Another api has carried out an order; one that nobody waits for here is nothing."""
        asked = self._asked.get(done.number)
        if asked is None or done.boot != self._state.boot:
            return
        for incarnation, status, taken in done.workers:
            if status not in set(WorkerStatus):
                continue  # of a newer api: as if it had not answered
            known = asked.answers.get(incarnation)
            if incarnation in asked.missing and not (known and known.taken):
                asked.answers[incarnation] = Standing(WorkerStatus(status), taken)
        if asked.answers.keys() >= asked.missing:
            asked.whole.set()


class Deputy:
    """The agent that carries out what other apis ask for; `obey` answers what became of it."""

    def __init__(
        self, state: ApiState, obey: Callable[[FarOrder], Awaitable[Mapping[str, Standing]]]
    ) -> None:
        self._state = state
        self._obey = obey
        self._give, self._take = trio.open_memory_channel[FarOrder](MOST_WAITING)

    def heard(self, order: FarOrder) -> None:
        """Carry it out; where too many wait it is left out, and nobody answers."""
        try:
            self._give.send_nowait(order)
        except trio.WouldBlock:
            self._state.log.warning("order of another api left out", order=order.kind)

    async def run(self) -> None:
        """For ever, those that come together at a time."""
        free = trio.Semaphore(MOST_AT_ONCE)
        async with trio.open_nursery() as nursery:
            async for order in self._take:
                await free.acquire()
                nursery.start_soon(self._carry_out, order, free)

    async def _carry_out(self, order: FarOrder, free: trio.Semaphore) -> None:
        try:
            if done := await self._obey(order):
                workers = tuple((name, str(how.status), how.taken) for name, how in done.items())
                self._state.bus.tell(
                    FarOrderDone(boot=order.boot, number=order.number, workers=workers)
                )
        finally:
            free.release()
