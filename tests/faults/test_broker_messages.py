"""Messages come twice, or are gone (faults 12 and 29)."""

from __future__ import annotations

import pytest
from processes.broker import Broker
from processes.client import until
from processes.deployment import QUICK, Deployment
from processes.rungs import came_through, owned, owners, serves, started
from processes.stream import submitting
from processes.submitter import bodies

COUNT = 300
# On a busy machine an api may say nothing for two seconds; here no worker is to run on its own.
PATIENT = QUICK | {"HERMES_LIVENESS__TTL_SECONDS": "10"}


async def start_waiting(ladder: Deployment) -> list[str]:
    """An api without a worker, whose jobs wait in RabbitMQ."""
    ladder.settings |= PATIENT
    await ladder.api()
    await serves(ladder, "amqp")
    ids = await ladder.client.submit_many("note", {"seconds": 0.01}, COUNT)
    await owned(ladder, ids)
    return ids


@pytest.mark.faults
async def test_a_message_of_a_claimed_job_is_refused_and_counted(
    ladder: Deployment, broker: Broker
) -> None:
    """Every message is there twice, and its first copy is delivered for the second time."""
    ids = await start_waiting(ladder)
    assert await broker.double(broker.queue("normal")) == COUNT
    assert (await broker.messages())["default.normal"] == 2 * COUNT
    await ladder.worker("w1")
    await ladder.worker("w2")
    await came_through(ladder, ids)
    assert len(ladder.history.starts()) == COUNT

    async def all_claimed() -> bool:
        return await ladder.client.metric("hermesd_queue_claims_total") >= 2 * COUNT

    await until(all_claimed, "a verdict on every message")
    assert await ladder.client.metric("hermesd_queue_claims_total", verdict="granted") == COUNT
    assert sum((await broker.messages()).values()) == 0


@pytest.mark.faults
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("deed", ["purged", "deleted"])
async def test_the_jobs_of_a_lost_queue_are_taken_back_and_run(
    ladder: Deployment, broker: Broker, deed: str, workers: int
) -> None:
    """By hand, while nobody serves it or while it is worked on; submits go on meanwhile."""
    ids = await start_waiting(ladder)
    names = [f"w{number + 1}" for number in range(workers)]
    ids += await ladder.client.submit_many("note", {"seconds": 0.1}, 1500)
    await owned(ladder, ids)
    for name in names:
        await ladder.worker(name, HERMES_WORKER__ASYNC_SLOTS="4")
    if workers:
        await started(ladder, 100)
    submits = bodies("note", [{"seconds": 0.1}])
    async with submitting(ladder.client.port, submits, rate=20.0) as stream:
        await (broker.purge if deed == "purged" else broker.delete)(broker.queue("normal"))

        async def none_is_lost() -> bool:
            jobs = ladder.history.jobs()
            lost = [each for each in ids if jobs[each].owner == "amqp" and jobs[each].lease == 1]
            return not lost

        await until(none_is_lost, "the lost messages' jobs to be taken back")
    stream.check()
    for name in ("w3", "w4"):
        await ladder.worker(name)
    ids += stream.accepted
    await came_through(ladder, ids)
    assert len(ladder.history.starts()) == len(ids)
    assert owners(ladder, ids) == {"none": len(ids)}
    await serves(ladder, "amqp")
    assert sum((await broker.messages()).values()) == 0
