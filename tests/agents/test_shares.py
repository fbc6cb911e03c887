"""What an api does at the broker for the sake of others on the same store."""

from __future__ import annotations

from typing import Any

from processes.ports import free_port

from agents.brokered import Brokered, open_brokered
from hermesd.api.offer import NEGLECTED_SECONDS
from hermesd.core.job import Job, Owner
from hermesd.core.words import Heard, Here

OTHER = "other-api"


def hear(at: Brokered, **members: bool) -> None:
    """The greeting of another api."""
    at.api.agents.hearing.apply(Heard(OTHER, "1", (Here(**members),)))


async def offered(at: Brokered) -> None:
    """Passes until nothing more is offered."""
    await at.offered()
    while (await at.agents.offerer.run_once())[0]:
        pass


async def owners(at: Brokered, jobs: list[Job]) -> dict[str, Owner]:
    """Who has each job now."""
    return {job.id: (await at.job(job)).owner for job in jobs}


async def test_each_api_publishes_its_share(rabbitmq: Any) -> None:
    """What is another's is left to it, unless it leaves the first of it alone for long."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        hear(at, broker=True)
        jobs = [(await at.api.submit()).job for _ in range(40)]
        mine = {job.id for job in jobs if at.api.state.neighbours.publishes(job.id)}
        assert 0 < len(mine) < len(jobs)
        await offered(at)
        await offered(at)
        found = await owners(at, jobs)
        assert {job_id for job_id, owner in found.items() if owner is Owner.AMQP} == mine
        at.api.clock.let_pass(NEGLECTED_SECONDS)
        await offered(at)
        assert set((await owners(at, jobs)).values()) == {Owner.AMQP}


async def test_the_share_of_an_api_that_publishes_no_more_is_the_others(rabbitmq: Any) -> None:
    """It says so as soon as it loses its broker, or leaves."""
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        for last in ({"broker": False}, {"leaving": True}):
            hear(at, broker=True)
            jobs = [(await at.api.submit()).job for _ in range(20)]
            await offered(at)
            assert Owner.STORE in (await owners(at, jobs)).values()
            hear(at, **last)
            await offered(at)
            assert set((await owners(at, jobs)).values()) == {Owner.AMQP}


async def test_jobs_at_a_broker_that_only_another_api_reaches_stay_there(rabbitmq: Any) -> None:
    """It would publish them again; when it reaches it no more either, they are taken back."""
    store_of: list[Any] = []
    async with open_brokered(rabbitmq.url()) as at:
        await at.declared()
        job = (await at.api.submit()).job
        await offered(at)
        store_of.append(at.api.store)
    url = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    settings = {"queue": {"take_back_seconds": 20}}
    async with open_brokered(url, settings, store=store_of[0], away=True) as at:
        hear(at, broker=True)
        await at.agents.take_back.run_once()
        at.api.clock.let_pass(20)
        await at.agents.take_back.run_once()
        assert (await at.job(job)).owner is Owner.AMQP
        hear(at, broker=False)
        await at.agents.take_back.run_once()
        assert (await at.job(job)).owner is Owner.STORE
