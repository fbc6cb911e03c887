"""The buses pass their suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import structlog
import trio
import trio.lowlevel
from databases.postgresql import PostgresServer
from databases.stores import line_to

from hermesd.core.words import Here, Missed, Moved, Schedules
from hermesd.ports import Bus
from hermesd.stores.postgres.bus import PAUSE_SECONDS, PostgresBus, open_bus
from hermesd.testing.conformance.bus import BusConformance, Join, Listener, listening
from hermesd.testing.memory_bus import MemoryBuses

pytest.register_assert_rewrite("hermesd.testing.conformance.bus")


class TestMemoryBus(BusConformance):
    """The fake."""

    @pytest.fixture
    def join(self) -> Join:
        """All on one line."""
        buses = MemoryBuses()

        @asynccontextmanager
        async def join(name: str) -> AsyncIterator[Bus]:
            await trio.lowlevel.checkpoint()
            yield buses.join(name)

        return join


class TestPostgresBus(BusConformance):
    """LISTEN and NOTIFY."""

    @pytest.fixture
    def join(self, postgresql_url: str) -> Join:
        """Each on a connection of its own, and listening."""

        @asynccontextmanager
        async def join(name: str) -> AsyncIterator[Bus]:
            async with connected(postgresql_url, name) as bus:
                yield bus

        return join


@asynccontextmanager
async def connected(url: str, name: str) -> AsyncIterator[PostgresBus]:
    """A bus that has begun to listen."""
    async with open_bus(line_to(url), name, f"boot-{name}", structlog.get_logger()) as bus:
        with trio.fail_after(60):
            async for heard in bus.words():
                if heard.words == (Missed(),):
                    break
        yield bus


async def test_a_killed_connection_comes_back(
    postgresql: PostgresServer, postgresql_url: str
) -> None:
    """Both sides are told that words may be missing, and what waited is told then."""
    async with (
        connected(postgresql_url, "a") as a,
        connected(postgresql_url, "b") as b,
        listening(a) as at_a,
        listening(b) as at_b,
    ):
        a.tell(Here())
        await at_b.until(lambda: at_b.words("a"))
        postgresql.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'hermesd-bus'"
        )
        for listener in (at_a, at_b):
            await listener.until(partial(has_missed, listener))
        a.tell(Schedules())
        await at_b.until(lambda: Schedules() in at_b.words("a"))


async def test_a_database_that_hangs_is_given_up(
    postgresql: PostgresServer, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer for a while is a lost connection; what is to be told waits, bounded."""
    monkeypatch.setattr("hermesd.stores.postgres.bus.ANSWER_SECONDS", 0.5)
    async with (
        connected(postgresql_url, "a") as a,
        connected(postgresql_url, "b") as b,
        listening(a) as at_a,
        listening(b) as at_b,
    ):
        postgresql.pause()
        try:
            a.tell(Here())
            await trio.sleep(1.0)  # more than the limit
        finally:
            postgresql.resume()
        await at_a.until(partial(has_missed, at_a))
        a.tell(Schedules())
        await at_b.until(lambda: Schedules() in at_b.words("a"))


async def test_letters_are_few(postgresql: PostgresServer, postgresql_url: str) -> None:
    """However much is said, one letter goes out at once, and others after a pause each."""
    async with (
        connected(postgresql_url, "a") as a,
        connected(postgresql_url, "b") as b,
        listening(b) as at_b,
    ):
        begun = trio.current_time()
        a.tell(Here())
        await at_b.until(lambda: at_b.words("a"))
        for number in range(2000):
            a.tell(Moved(states={"queued": 1}))
            if number % 20 == 0:
                await trio.lowlevel.checkpoint()
        await at_b.until(
            lambda: sum(w.states["queued"] for w in at_b.words("a") if isinstance(w, Moved)) == 2000
        )
        assert a.letters <= 2 + (trio.current_time() - begun) / PAUSE_SECONDS


def has_missed(listener: Listener) -> bool:
    """Whether it was told that words may be lost."""
    return any(heard.words == (Missed(),) for heard in listener.heard)


async def test_a_bus_that_was_cut_says_so() -> None:
    """What it has to tell is told then; what it did not hear is lost."""
    buses = MemoryBuses()
    a, b = buses.join("a"), buses.join("b")
    b.cut()
    a.tell(Here())
    b.tell(Here())
    async with listening(a) as at_a, listening(b) as at_b:
        b.mend()
        await at_a.until(lambda: at_a.words("b"))
        await at_b.until(lambda: at_b.heard)
        assert [heard.words for heard in at_b.heard] == [(Missed(),)]
