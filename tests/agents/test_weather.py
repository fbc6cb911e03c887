"""Bad weather of every kind at once, and afterwards everything must add up."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agents.workers import Worker, open_worker
from agents.world import Api, all_in, open_api, until
from hermesd.core.errors import HermesError
from hermesd.core.job import Job
from hermesd.core.records import JobFilter
from hermesd.core.states import TERMINAL, State
from hermesd.handlers.contract import Handler, job
from hermesd.handlers.endings import Permanent, Retry, Snooze
from hermesd.testing.links import DirectLink

STORM_SECONDS = 60.0
SLOW = pytest.mark.faults


class Storm:
    """Seeded misfortunes of a store and of two control lines."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ids: list[str] = []
        self.doubtful = 0

    def handler(self) -> Handler:
        """A handler of which one never knows."""

        async def note(payload: Any) -> str:
            await trio.sleep(self.random.choice([0.0, 0.01, 0.3, 3.0]))
            chance = self.random.random()
            if chance < 0.1:
                raise Retry(after=self.random.random())
            if chance < 0.2:
                raise Snooze(self.random.random())
            if chance < 0.25:
                raise Permanent("no")
            return "done"

        return job("note")(note)

    async def submit(self, api: Api) -> None:
        """Submits go on, whatever the weather."""
        while True:
            await trio.sleep(self.random.expovariate(4))
            try:
                self.ids.append((await api.submit(priority=self.random.randrange(11))).job.id)
            except HermesError:
                self.doubtful += 1

    async def operate(self, api: Api) -> None:
        """An operator cancels now and then."""
        while True:
            await trio.sleep(1)
            if self.ids and self.random.random() < 0.3:
                try:
                    await api.agents.operator.cancel(self.random.choice(self.ids))
                except HermesError:
                    continue

    async def rage(self, api: Api, links: list[DirectLink]) -> None:
        """One misfortune after the other."""
        while True:
            await trio.sleep(self.random.random() * 2)
            link = self.random.choice(links)
            match self.random.randrange(7):
                case 0:
                    api.jobs.down = True
                    await trio.sleep(self.random.random() * 3)
                    api.jobs.down = False
                case 1:
                    api.jobs.unknown += 1
                case 2:
                    api.jobs.retries += 2
                case 3:
                    link.lost_answers += 2
                case 4:
                    link.cut = True
                    await trio.sleep(self.random.choice([0.5, 4.0, 20.0]))
                    link.cut = False
                case 5:
                    link.hang_up()
                    await trio.sleep(self.random.random())
                    link.cut = False
                case _:
                    slow = api.jobs.after = trio.Event()
                    try:
                        await trio.sleep(self.random.random())
                    finally:  # a commit under way is shielded, so that nobody else could end it
                        api.jobs.after = None
                        slow.set()


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=SLOW) for n in range(2, 6))])
async def test_everything_adds_up_after_a_storm(clock: MockClock, seed: int) -> None:
    """Every job has ended, no slot is lost or won, nothing is held, no invariant was broken."""
    storm = Storm(seed)
    async with open_api() as api:
        api.start()
        api.nursery.start_soon(api.agents.checker.run)
        links = [DirectLink(api.agents.control), DirectLink(api.agents.control, "api.test:2")]
        handlers = [storm.handler()]
        async with (
            open_worker(links[0], handlers, name="w1") as first,
            open_worker(links[1], handlers, name="w2") as second,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(storm.submit, api)
                nursery.start_soon(storm.operate, api)
                nursery.start_soon(storm.rage, api, links)
                await trio.sleep(STORM_SECONDS)
                nursery.cancel_scope.cancel()
            clear_up(api, links)
            await all_in(api, await every_id(api), *TERMINAL)
            await settled(api, first)
            await settled(api, second)
        assert set(storm.ids) <= set(await every_id(api))
        assert api.breaches() == 0


def clear_up(api: Api, links: list[DirectLink]) -> None:
    """The sun comes out."""
    api.jobs.down, api.jobs.unknown, api.jobs.retries = False, 0, 0
    for link in links:
        link.cut, link.lost_answers = False, 0


async def settled(api: Api, worker: Worker) -> None:
    """Memory of both sides agrees with a store in which nothing runs."""

    def clean() -> bool:
        view = api.state.registry.get(worker.state.incarnation)
        return (
            view is not None
            and view.free_slots() == worker.state.slots.totals == worker.state.slots.free()
            and not view.held
            and not view.has_suspect
            and not worker.state.leases.held()
            and not view.fence_batch
        )

    await until(clean, f"{worker.state.worker_id} to be idle", 60)

    async def counted() -> bool:
        counts = await api.store.reader.counts()
        tally = api.state.tally
        return {s: tally.states[s] for s in State} == counts.states and not tally.waiting_total

    await until(counted, "the counts to be right", 120)


async def every_id(api: Api) -> list[str]:
    """All jobs of the store."""
    page = await api.store.reader.page(JobFilter(), None, 100_000)
    jobs: tuple[Job, ...] = page.jobs
    return [each.id for each in jobs]
