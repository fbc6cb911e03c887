"""Several apis on one PostgreSQL with one RabbitMQ: whoever publishes, anybody claims and records.

Apis are killed while their jobs are at the broker (faults 13 and 17 together), and one is cut off
from the broker that the others reach.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from processes.broker import Broker
from processes.client import until
from processes.daemon import PATIENCE_SECONDS, DaemonProcess
from processes.deployment import QUICK
from processes.proxy import open_proxy
from processes.rungs import owned, serves, started
from processes.several import SeveralApis, open_several
from processes.submitter import Answers, bodies, submit_all

NAMES = ("api-1", "api-2")
BREACHES = "hermesd_invariant_breaches_total"
CLAIMS = "hermesd_queue_claims_total"
SLOTS = {"HERMES_WORKER__ASYNC_SLOTS": "8"}
COUNT = 400
# A worker is to be back at an api, and an api to be taken for dead, well before it runs on its own.
PATIENT = QUICK | {
    "HERMES_LIVENESS__TTL_SECONDS": "8",
    "HERMES_CONTROL__RETRY_MAX_SECONDS": "0.5",
}


@pytest.fixture
async def several(
    tmp_path: Path, postgresql_url: str, broker: Broker
) -> AsyncIterator[SeveralApis]:
    """Two apis with an empty store and a broker; nothing is started."""
    async with open_several(tmp_path, postgresql_url, NAMES) as opened:
        opened.settings(**PATIENT, **broker.settings())
        yield opened


async def both_up(several: SeveralApis) -> tuple[DaemonProcess, DaemonProcess]:
    """Both apis, which know each other, and whose waiting jobs go to RabbitMQ."""
    first, second = [await several.api(name) for name in NAMES]
    for daemon in (first, second):
        await daemon.logged("api heard of")
    for name in NAMES:
        await serves(several.seen_from(name), "amqp")
    return first, second


async def waiting_at_broker(several: SeveralApis, seconds: float = 0.1) -> list[str]:
    """Jobs of both apis, half each, that wait in RabbitMQ."""
    ids = []
    for name in NAMES:
        ids += await several.client(name).submit_many("note", {"seconds": seconds}, COUNT // 2)
    await owned(several.seen_from("api-1"), ids)
    return ids


async def only_at(several: SeveralApis, name: str, worker: str) -> None:
    """A worker that registers with one of the apis only."""
    endpoints = json.dumps([f"127.0.0.1:{several.control_port(name)}"])
    await several.worker(worker, HERMES_CONTROL__ENDPOINTS=endpoints, **SLOTS)


async def came_through(
    several: SeveralApis, ids: list[str], *names: str, unclaimed: bool = False
) -> None:
    """All have ended well with one recorded outcome each; no invariant was broken at these apis."""

    async def ended() -> bool:
        return several.history.live() == 0

    await until(ended, "all jobs to end", 3 * PATIENCE_SECONDS)
    jobs = several.history.check(ids, unclaimed=unclaimed)
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(jobs)}
    assert [await several.client(name).metric(BREACHES) for name in names] == [0] * len(names)


async def drained(broker: Broker) -> None:
    """Return when the broker has no message left, not even one that nobody needs."""
    left: dict[str, int] = {}

    async def look() -> bool:
        left.clear()
        left.update(await broker.messages())
        return not sum(left.values())

    try:
        await until(look, "the broker to have no message")
    except AssertionError as error:
        raise AssertionError(f"{error}: {left}") from error


@pytest.mark.faults
async def test_what_either_api_publishes_is_claimed_at_any(
    several: SeveralApis, broker: Broker
) -> None:
    """A worker of each api alone and one of both: every job is granted once and runs once."""
    await both_up(several)
    ids = await waiting_at_broker(several)
    published = (await broker.messages())["default.normal"]
    await only_at(several, "api-1", "w1")
    await only_at(several, "api-2", "w2")
    await several.worker("w3", **SLOTS)
    await came_through(several, ids, *NAMES)
    assert len(several.history.starts()) == COUNT
    granted = [await several.client(n).metric(CLAIMS, verdict="granted") for n in NAMES]
    assert sum(granted) == COUNT
    assert all(granted)
    # Both may publish what both see waiting, which the claims sort out; but seldom.
    assert COUNT <= published <= COUNT * 1.5
    await drained(broker)


@pytest.mark.faults
async def test_an_api_that_is_killed_leaves_its_jobs_at_the_broker_to_the_other(
    several: SeveralApis, broker: Broker
) -> None:
    """While workers claim at it: each job runs once, and what it had given out is adopted."""
    first, second = await both_up(several)
    ids = await waiting_at_broker(several)
    await several.worker("w1", **SLOTS)
    await several.worker("w2", **SLOTS)
    await started(several.seen_from("api-2"), COUNT // 8)
    first.kill9()
    await first.wait()
    await came_through(several, ids, "api-2")
    assert len(several.history.starts()) == COUNT
    await second.logged("api is gone", api="api-1")
    await drained(broker)
    await several.api("api-1")
    for name in NAMES:
        counted = (await several.client(name).stats())["jobs"]
        assert {state: number for state, number in counted.items() if number} == {
            "succeeded": COUNT
        }


@pytest.mark.faults
async def test_an_api_that_is_killed_amid_submits_leaves_its_outbox_to_the_other(
    several: SeveralApis, broker: Broker
) -> None:
    """What it had committed and not handed over yet is published by the other, and runs once."""
    first, _ = await both_up(several)
    answers = Answers()
    submits = bodies("note", [{"seconds": 0.02}] * (4 * COUNT))

    async def kill() -> None:
        await answers.reached(COUNT)
        first.kill9()
        await first.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill)
        port = several.client("api-1").port
        await submit_all(port, submits, connections=24, answers=answers)
    known = several.history.jobs()
    assert answers.accepted
    assert known.keys() >= set(answers.accepted)
    await owned(several.seen_from("api-2"), list(known))
    for name in ("w1", "w2"):
        await several.worker(name, **SLOTS)
    await came_through(several, answers.accepted, "api-2")
    assert len(several.history.starts()) == len(known)
    await drained(broker)


@pytest.mark.faults
@pytest.mark.parametrize("returning", [("api-2",), NAMES])
async def test_outcomes_that_no_api_took_are_recorded_once_when_apis_return(
    several: SeveralApis, broker: Broker, returning: tuple[str, ...]
) -> None:
    """Both are killed, the workers go on alone, and one comes back, or both at once."""
    apis = await both_up(several)
    ids = await waiting_at_broker(several)
    workers = [await several.worker(name, **SLOTS) for name in ("w1", "w2")]
    await started(several.seen_from("api-1"), COUNT // 8)
    for api in apis:
        api.kill9()
        await api.wait()
    await started(several.seen_from("api-1"), COUNT, 120)
    again = [await several.start(name) for name in returning]
    for api in again:
        await api.ready()
    await came_through(several, ids, *returning, unclaimed=True)
    assert len(several.history.starts()) == COUNT
    assert all(worker.alive for worker in workers)
    await drained(broker)


@pytest.mark.faults
async def test_a_purged_queue_is_noticed_by_both_and_its_jobs_run_once(
    several: SeveralApis, broker: Broker
) -> None:
    """Those of a dead api as well: the other takes back what it never published."""
    first, second = await both_up(several)
    ids = await waiting_at_broker(several, 0.01)
    first.kill9()
    await first.wait()
    await broker.purge(broker.queue("normal"))
    await second.logged("messages have vanished")
    await several.api("api-1")
    ids += await several.client("api-1").submit_many("note", {"seconds": 0.01}, COUNT)
    for name in ("w1", "w2"):
        await several.worker(name, **SLOTS)
    await came_through(several, ids, *NAMES)
    assert len(several.history.starts()) == len(ids)
    await drained(broker)


@pytest.mark.faults
async def test_an_api_cut_off_from_the_broker_leaves_the_jobs_there_alone(
    several: SeveralApis, broker: Broker
) -> None:
    """The other api and the workers reach it: nothing is taken back and published again."""
    several.settings(HERMES_QUEUE__TAKE_BACK_SECONDS="2")
    async with open_proxy(broker.node.port) as line:
        first = await several.api("api-1", **broker.settings(line.port))
        second = await several.api("api-2")
        for daemon in (first, second):
            await daemon.logged("api heard of")
        for name in NAMES:
            await serves(several.seen_from(name), "amqp")
        ids = await waiting_at_broker(several, 0.5)
        line.refuse()
        await serves(several.seen_from("api-1"), "store")
        ids += await several.client("api-1").submit_many("note", {"seconds": 0.5}, COUNT // 2)
        await owned(several.seen_from("api-2"), ids)
        for name in ("w1", "w2"):
            await several.worker(name, **SLOTS)
        await came_through(several, ids, *NAMES)
        jobs = several.history.jobs()
        assert len(several.history.starts()) == len(ids)
        assert Counter(row.lease for row in jobs.values()) == {1: len(ids)}
        await line.listen()
        await serves(several.seen_from("api-1"), "amqp")
    await drained(broker)


@pytest.mark.faults
async def test_a_broker_that_dies_is_outlived_by_both(several: SeveralApis, broker: Broker) -> None:
    """Its jobs are taken back, run from the store, and run once; later ones go to it again."""
    several.settings(HERMES_QUEUE__TAKE_BACK_SECONDS="2")
    await both_up(several)
    ids = await waiting_at_broker(several, 0.01)
    await broker.kill9()
    await owned(several.seen_from("api-1"), ids, "store")
    for name in ("w1", "w2"):
        await several.worker(name, **SLOTS)
    await came_through(several, ids, *NAMES)
    await broker.start()
    for name in NAMES:
        await serves(several.seen_from(name), "amqp")
    ids += await several.client("api-2").submit_many("note", {"seconds": 0.01}, COUNT)
    await came_through(several, ids, *NAMES)
    assert len(several.history.starts()) == len(ids)
    await drained(broker)
