"""Counts in memory that are wrong: what is too many is found out as soon as somebody looks."""

from __future__ import annotations

from trio.testing import MockClock

from agents.test_feed import join, plant, waiting
from agents.world import Api
from hermesd.api.readahead import SURE_SECONDS
from hermesd.core.words import Heard, Moved

PLACE = ("default", "note", 3)


def hear(api: Api, jobs: int) -> None:
    """Another api tells by how many more jobs wait."""
    word = Moved(waiting=((*PLACE, jobs),))
    api.agents.hearing.apply(Heard("other-api", "1", (word,)))


async def test_a_job_that_another_api_told_of_too_late_is_not_waited_for(
    api: Api, clock: MockClock
) -> None:
    """It has been given out already: the next job goes straight to a worker, whatever goes on."""
    await join(api, 4)
    with api.state.tally.changes.of(5):  # a load, by which any small difference is explained
        hear(api, 1)
        assert (await api.submit()).routed == "queue"
        assert await api.agents.feeder.run_once() == 1
        assert await api.agents.feeder.run_once() == 0
        for _ in range(3):
            api.clock.let_pass(SURE_SECONDS / 2)
            assert await api.agents.feeder.run_once() == 0
        assert api.state.tally.waiting_total == 0
        assert (await api.submit()).routed == "direct"


async def test_what_waits_in_the_store_stays_counted(api: Api, clock: MockClock) -> None:
    """Also what this api does not know of itself, and what it cannot give out."""
    await join(api, 1)
    await plant(api, *(waiting(number) for number in range(3)))
    hear(api, 5)
    assert await api.agents.feeder.run_once() == 1
    assert await api.agents.feeder.run_once() == 0
    assert api.state.tally.waiting_total >= 2


async def test_a_word_that_is_under_way_takes_nothing_off(api: Api, clock: MockClock) -> None:
    """A surplus that goes by itself within the time of a word was none."""
    await join(api, 4)
    with api.state.tally.changes.of(5):
        hear(api, 1)
        for _ in range(3):
            await api.agents.feeder.run_once()
            api.clock.let_pass(SURE_SECONDS / 4)
        hear(api, -1)
        await api.agents.feeder.run_once()
        hear(api, 2)
        await api.agents.feeder.run_once()
        api.clock.let_pass(SURE_SECONDS / 2)
        await api.agents.feeder.run_once()
        assert api.state.tally.waiting_total == 2
