"""Which waiting jobs an api brings to the broker while another one publishes its share of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from agents.brokered import Brokered, open_brokered
from agents.test_feed import plant, waiting
from hermesd.api.offer import LOOK_AGAIN_SECONDS, NEGLECTED_SECONDS
from hermesd.core.job import Job, Owner
from hermesd.core.words import Heard, Here

LIMIT = {"queue": {"max_message_bytes": 100_000}}  # which is the codec's
HUGE = msgspec.Raw(b'"' + b"x" * 100_000 + b'"')


async def beside_another(at: Brokered) -> tuple[list[int], list[int]]:
    """Another api publishes, too: the numbers of jobs that are its own, and of this one's."""
    await at.declared()
    at.api.agents.hearing.apply(Heard("other-api", "1", (Here(broker=True),)))
    theirs: list[int] = []
    mine: list[int] = []
    for number in range(200):
        (mine if at.api.state.neighbours.publishes(f"j{number}") else theirs).append(number)
    return theirs, mine


async def put(at: Brokered, *jobs: Job) -> None:
    """Jobs wait in the store, and nothing of it is in memory but how many there are."""
    await plant(at.api, *jobs)
    await forget(at)


async def forget(at: Brokered) -> None:
    """What was read ahead."""
    at.api.state.tally.reset(await at.api.store.reader.counts())
    at.api.state.ahead.clear()


async def published(at: Brokered, jobs: Iterable[Job]) -> set[str]:
    """Those of the jobs that the broker has."""
    return {job.id for job in jobs if (await at.job(job)).owner is Owner.AMQP}


async def passes(at: Brokered, number: int) -> None:
    """So many that find nothing to offer, and the time between them."""
    for _ in range(number):
        while (await at.agents.offerer.run_once())[1]:
            pass
        at.api.clock.let_pass(LOOK_AGAIN_SECONDS)


@pytest.mark.parametrize(
    "members", [{"crash_count": 2}, {"payload": HUGE}], ids=["suspect", "too large"]
)
async def test_a_job_that_cannot_be_published_is_no_sign_of_neglect(
    rabbitmq: Any, members: dict[str, Any]
) -> None:
    """It stands first for long; the other api brings all else of its share to the broker."""
    async with open_brokered(rabbitmq.url(), LIMIT) as at:
        theirs, mine = await beside_another(at)
        first = waiting(theirs[0], enqueued_at=1.0, **members)
        await put(at, first)
        for round_ in range(1, 7):
            others = [waiting(theirs[round_], enqueued_at=at.api.clock.utc())]
            own = [waiting(mine[round_], type="chime", enqueued_at=at.api.clock.utc())]
            await put(at, *others, *own)
            await passes(at, 1)
            assert await published(at, [first, *others, *own]) == {own[0].id}
            await at.api.store.jobs.cancel(others[0].id)  # it has gone, as the other api does well
            await forget(at)


async def test_only_jobs_that_wait_for_long_are_neglected(rabbitmq: Any) -> None:
    """One that has just come is left to the other api, which may be at work again."""
    async with open_brokered(rabbitmq.url()) as at:
        theirs, _ = await beside_another(at)
        old, new = waiting(theirs[0], enqueued_at=1.0), waiting(theirs[1])
        await put(at, old)
        await at.agents.offerer.run_once()
        at.api.clock.let_pass(NEGLECTED_SECONDS)
        new = msgspec.structs.replace(new, enqueued_at=at.api.clock.utc())
        await put(at, new)
        await at.agents.offerer.run_once()
        assert await published(at, [old, new]) == {old.id}


async def test_more_urgent_jobs_of_another_share_do_not_block_ones_own(rabbitmq: Any) -> None:
    """They are left, and what is less urgent is looked at; when neglected they are taken."""
    async with open_brokered(rabbitmq.url()) as at:
        theirs, mine = await beside_another(at)
        others = [waiting(number, priority=7, enqueued_at=1.0) for number in theirs[:5]]
        own = [waiting(number, type="chime", priority=3, enqueued_at=1.0) for number in mine[:5]]
        await put(at, *others, *own)
        await passes(at, 1)
        assert await published(at, [*others, *own]) == {job.id for job in own}
        await passes(at, 3)
        assert await published(at, others) == {job.id for job in others}
