"""No api answers the workers, and RabbitMQ does (faults 13 and 30)."""

from __future__ import annotations

from collections import Counter

import pytest
from processes.broker import Broker
from processes.client import until
from processes.daemon import DaemonProcess
from processes.deployment import QUICK, Deployment
from processes.ports import free_port
from processes.proxy import Proxy, open_proxy
from processes.rungs import came_through, owned, serves, started

COUNT = 1000
SLOTS = {"HERMES_WORKER__ASYNC_SLOTS": "8"}
# A worker is back at an api well before that takes it for lost, also on a busy machine.
PATIENT = QUICK | {
    "HERMES_LIVENESS__TTL_SECONDS": "4",
    "HERMES_CONTROL__RETRY_MAX_SECONDS": "0.5",
}


async def start_waiting(ladder: Deployment) -> tuple[DaemonProcess, list[str]]:
    """An api, and a thousand jobs of a tenth of a second that wait in RabbitMQ."""
    ladder.settings |= PATIENT
    api = await ladder.api()
    await serves(ladder, "amqp")
    ids = await ladder.client.submit_many("note", {"seconds": 0.1}, COUNT)
    await owned(ladder, ids)
    return api, ids


async def until_only_outcomes(ladder: Deployment, broker: Broker) -> int:
    """Return when every job's message is gone, and its outcome waits or is recorded; the former.

    A message that a worker has is not counted by its queue, and its job may run still: so all
    outcomes of unclaimed jobs are waited for.
    """
    rows = ladder.history.jobs().values()
    unclaimed = sum(row.state == "queued" for row in rows)
    waiting: dict[str, int] = {}

    async def look() -> bool:
        waiting.clear()
        waiting.update(await broker.messages())
        outcomes = waiting.pop("outcomes")
        return outcomes >= unclaimed and not sum(waiting.values())

    try:
        await until(look, f"{unclaimed} outcomes to wait, and nothing else", 120)
    except AssertionError as error:
        raise AssertionError(f"{error}: {waiting}") from error
    return (await broker.messages())["outcomes"]


@pytest.mark.faults
@pytest.mark.parametrize("when", ["before the workers start", "while they work"])
async def test_workers_run_what_waits_in_rabbitmq_while_every_api_is_down(
    ladder: Deployment, broker: Broker, when: str
) -> None:
    """Their outcomes wait there too, and an api that returns records each once."""
    api, ids = await start_waiting(ladder)
    early = when == "before the workers start"
    if early:
        api.kill9()
        await api.wait()
    workers = [await ladder.worker(name, **SLOTS) for name in ("w1", "w2")]
    if not early:
        await started(ladder, 200)
        api.kill9()
        await api.wait()
    await started(ladder, COUNT, 120)
    outcomes = await until_only_outcomes(ladder, broker)
    assert outcomes == COUNT if early else 0 < outcomes < COUNT
    await ladder.api()
    await came_through(ladder, ids, api_boots=2, unclaimed=True)
    jobs = ladder.history.jobs()
    assert Counter(row.crash_count for row in jobs.values()) == {0: COUNT}
    assert len(ladder.history.starts()) == COUNT
    assert all(worker.alive for worker in workers)
    await ladder.client.routable("w1", "w2")
    assert sum((await broker.messages()).values()) == 0


@pytest.mark.faults
async def test_a_worker_that_ends_while_no_api_is_there_leaves_its_outcomes_in_rabbitmq(
    ladder: Deployment, broker: Broker
) -> None:
    """Its last word is published, so that nothing runs again."""
    api, ids = await start_waiting(ladder)
    worker = await ladder.worker("w1", **SLOTS)
    await started(ladder, 100)
    api.kill9()
    await api.wait()
    worker.sigterm()
    assert await worker.wait() == 0
    ran = len(ladder.history.starts())
    await ladder.api()
    await ladder.worker("w2")
    await came_through(ladder, ids, api_boots=2, unclaimed=True)
    assert ran < COUNT
    assert len(ladder.history.starts()) == COUNT


@pytest.mark.faults
async def test_a_worker_cut_off_from_the_apis_and_not_from_rabbitmq(
    ladder: Deployment, broker: Broker
) -> None:
    """It is evicted and goes on under the broker; each run has one recorded outcome."""
    api, ids = await start_waiting(ladder)
    async with open_proxy(ladder.control_port) as control, open_proxy(free_port()) as dispatch:
        await start_far(ladder, control, dispatch)
        await started(ladder, 100)
        control.black_hole()
        dispatch.black_hole()
        await api.logged("worker evicted", worker_id="far")
        await ladder.worker("near", **SLOTS)
        await started(ladder, 500)
        control.heal()
        dispatch.heal()
        await came_through(ladder, ids, unclaimed=True)
        await ladder.client.routable("far", "near")
        starts = Counter(start.job_id for start in ladder.history.starts())
    # Only what the far worker had claimed when it was cut off may have run a second time.
    assert sum(starts.values()) <= COUNT + 3 * 8
    assert sum((await broker.messages()).values()) == 0


async def start_far(ladder: Deployment, control: Proxy, dispatch: Proxy) -> DaemonProcess:
    """A worker that reaches the api, and that it reaches, through the proxies only."""
    return await ladder.worker(
        "far",
        **SLOTS,
        HERMES_WORKER__PORT=str(dispatch.target),
        HERMES_WORKER__ADVERTISE=dispatch.address,
        HERMES_CONTROL__ENDPOINTS=f'["{control.address}"]',
    )
