"""The suite for Bus; its module has a fixture `line`, which joins apis by their names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import trio

from hermesd.core.words import (
    Cancelled,
    Due,
    Events,
    Heard,
    Here,
    Missed,
    Moved,
    Queues,
    Schedules,
    Word,
    Work,
)
from hermesd.ports import Bus

Join = Callable[[str], AbstractAsyncContextManager[Bus]]

SECONDS = 60.0
ALL: Sequence[Word] = (
    Here(),
    Moved(states={"queued": 1, "running": -1}, waiting=(("default", "note", 3, 1),), accepted=2),
    Work(places=(("default", "note", 3),)),
    Due(at=1_800_000_000.5),
    Cancelled(job_ids=("j1", "j2")),
    Schedules(),
    Queues(),
    Events(events=((1.5, "failed", "j1", "note", None, "kaput", 1, 2),), kinds={"failed": 3}),
)


class Listener:
    """All that one api has heard."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._more = trio.Event()

    async def listen(self, bus: Bus) -> None:
        """Until it is cancelled."""
        async for heard in bus.words():
            self.heard.append(heard)
            self._more.set()

    def words(self, api: str) -> list[Word]:
        """What that api has said, as heard."""
        return [word for heard in self.heard if heard.api == api for word in heard.words]

    def has_heard(self, api: str, words: int) -> bool:
        """Whether that api has said so many words."""
        return len(self.words(api)) >= words

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for what is to be heard."""
        with trio.fail_after(SECONDS):
            while not condition():
                self._more = trio.Event()
                await self._more.wait()


@asynccontextmanager
async def listening(bus: Bus) -> AsyncIterator[Listener]:
    """Listen to a bus within the block."""
    listener = Listener()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.listen, bus)
        yield listener
        nursery.cancel_scope.cancel()


class BusConformance:
    """Every sentence of ports.Bus."""

    async def test_every_word_is_heard_as_it_was_told(self, join: Join) -> None:
        """By all others, and by nobody who said it."""
        async with join("a") as a, join("b") as b, join("c") as c:
            assert a.shared
            async with listening(a) as at_a, listening(b) as at_b, listening(c) as at_c:
                for word in ALL:
                    a.tell(word)
                b.tell(Here())
                for listener in (at_b, at_c):
                    await listener.until(partial(listener.has_heard, "a", len(ALL)))
                    assert sorted(map(repr, listener.words("a"))) == sorted(map(repr, ALL))
                await at_a.until(lambda: at_a.words("b"))
                assert not at_a.words("a")

    async def test_a_letter_says_who_wrote_it(self, join: Join) -> None:
        """Its name and its boot."""
        async with join("a") as a, join("b") as b, listening(b) as at_b:
            a.tell(Here(leaving=True))
            await at_b.until(lambda: at_b.words("a"))
            assert all(heard.boot for heard in at_b.heard if heard.api)

    async def test_a_flood_is_told_in_part(self, join: Join) -> None:
        """Sums are right, what is too much is counted, and nobody waits."""
        async with join("a") as a, join("b") as b, listening(b) as at_b:
            event = (1.5, "failed", "j1", "note", None, "x" * 5000, 1, 2)
            for number in range(3000):
                if number % 100 == 0:
                    await trio.lowlevel.checkpoint()
                a.tell(Moved(states={"failed": 1}))
                a.tell(Events(events=(event,), kinds={"failed": 1}))

            def told(kind: type[Any]) -> list[Any]:
                return [word for word in at_b.words("a") if isinstance(word, kind)]

            def shown() -> int:
                return sum(len(word.events) + word.left_out for word in told(Events))

            await at_b.until(lambda: shown() == 3000)
            await at_b.until(lambda: sum(w.states["failed"] for w in told(Moved)) == 3000)
            assert sum(word.kinds.get("failed", 0) for word in told(Events)) == 3000

    async def test_a_listener_that_comes_late_hears_what_it_can(self, join: Join) -> None:
        """And is told where something may be lost."""
        async with join("a") as a, join("b") as b:
            for number in range(5):
                a.tell(Cancelled(job_ids=(f"j{number}",)))
            async with listening(b) as at_b:
                a.tell(Schedules())
                await at_b.until(
                    lambda: any(
                        isinstance(word, Schedules | Missed)
                        for heard in at_b.heard
                        for word in heard.words
                    )
                )
