"""Two apis on one PostgreSQL: each answers for the whole fleet, and does what the other cannot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio
from databases.postgresql import PostgresServer

from processes.client import ApiClient, Json, until
from processes.several import SeveralApis, open_several

NAMES = ("api-1", "api-2")


@pytest.fixture
async def several(tmp_path: Path, postgresql_url: str) -> AsyncIterator[SeveralApis]:
    """Two apis with an empty store; nothing is started."""
    async with open_several(tmp_path, postgresql_url, NAMES) as opened:
        yield opened


async def only_at(several: SeveralApis, name: str, worker: str, **settings: str) -> None:
    """A worker that registers with one of the apis only, and is shown by both."""
    endpoints = json.dumps([f"127.0.0.1:{several.control_port(name)}"])
    await several.worker(worker, HERMES_CONTROL__ENDPOINTS=endpoints, **settings)
    await several.client(name).routable(worker)


async def both_up(several: SeveralApis) -> tuple[ApiClient, ApiClient]:
    """Both apis, which know each other."""
    daemons = [await several.api(name) for name in NAMES]
    for daemon in daemons:
        await daemon.logged("api heard of")
    return several.client("api-1"), several.client("api-2")


async def shown(client: ApiClient) -> Counter[tuple[str, str]]:
    """The events of jobs that an api shows, by job and kind."""
    answer = await client.http.get("/events", params={"limit": 100})
    assert answer.status_code == 200, answer.text
    return Counter((e["job_id"], e["kind"]) for e in answer.json()["events"] if e["job_id"])


def same(*stats: Json) -> bool:
    """Whether they tell the same of the jobs."""
    told = [
        ({state: n for state, n in one["jobs"].items() if n}, one["waiting"]["total"])
        for one in stats
    ]
    return all(each == told[0] for each in told)


async def test_a_job_runs_at_once_on_a_worker_that_only_the_other_api_reaches(
    several: SeveralApis,
) -> None:
    """Whoever is asked tells how it goes."""
    one, two = await both_up(several)
    await only_at(several, "api-2", "w2")
    began = trio.current_time()
    answer = await one.submit("note", {"seconds": 0.5})
    assert answer["routed"] == "queue"
    job = await one.ended(answer["job"]["id"])
    assert trio.current_time() - began < 10
    assert (job["state"], job["worker_id"]) == ("succeeded", "w2")
    assert (await two.job(job["id"]))["state"] == "succeeded"


async def test_both_answer_for_the_whole_fleet(several: SeveralApis) -> None:
    """Counts, workers and events are the same, whoever has done what."""
    one, two = await both_up(several)
    await only_at(several, "api-1", "w1")
    await only_at(several, "api-2", "w2")
    ids = [
        (await client.submit("note", {"seconds": seconds}))["job"]["id"]
        for seconds in (0.0, 0.3)
        for client in (one, two, one)
    ]
    for job_id in ids:
        assert (await one.ended(job_id))["state"] == "succeeded"

    async def agree() -> bool:
        return same(await one.stats(), await two.stats()) and await shown(one) == await shown(two)

    await until(agree, "the apis to tell the same")
    assert (await one.stats())["jobs"]["succeeded"] == len(ids)
    events = await shown(one)
    assert {events[job_id, "succeeded"] for job_id in ids} == {1}
    for client, own, other in ((one, "w1", "w2"), (two, "w2", "w1")):
        statuses = {worker["worker_id"]: worker["status"] for worker in await client.workers()}
        assert statuses == {own: "idle", other: "elsewhere"}
    since = [(await client.stats())["since_start"] for client in (one, two)]
    assert since[0]["submitted"] == since[1]["submitted"] == len(ids)


async def test_any_api_orders_the_whole_fleet(several: SeveralApis) -> None:
    """Also the worker that it has no line to, and tells how long jobs took wherever they ran."""
    one, two = await both_up(several)
    await only_at(several, "api-2", "w2")
    job_id = (await two.submit("note", {"seconds": 0.5}))["job"]["id"]
    assert (await one.ended(job_id))["state"] == "succeeded"

    async def standing(client: ApiClient) -> str:
        [worker] = await client.workers()
        return str(worker["status"])

    async def obeyed(order: str) -> bool:
        body = {"ids": ["w2"], "reason": "a new disk"}
        answer = await one.http.post(f"/workers/{order}", json=body)
        # On a slow machine nobody may have answered in time; it is ordered all the same.
        return answer.status_code == 200 and bool(answer.json()["taken"])

    for order, status in (("pause", "paused"), ("resume", "idle")):
        await until(partial(obeyed, order), f"it to {order}")
        assert (await standing(one), await standing(two)) == ("elsewhere", status)

    async def told() -> bool:
        fleet = (await one.stats())["recent_fleet"]
        return fleet["run"] is not None and fleet["run"]["p50"] > 0.4

    await until(told, "the other api's step")
    assert (await one.stats())["recent"]["all"]["run"] is None


async def test_a_running_job_is_cancelled_through_any_api(several: SeveralApis) -> None:
    """The one that assigned it is told at once."""
    one, two = await both_up(several)
    await only_at(several, "api-2", "w2")
    job_id = (await two.submit("note", {"seconds": 300.0}))["job"]["id"]
    answer = await one.http.delete(f"/jobs/{job_id}")
    assert answer.status_code == 202, answer.text
    assert (await one.ended(job_id))["state"] == "cancelled"


async def test_a_stream_tells_what_happens_at_the_other_api(several: SeveralApis) -> None:
    """Whoever follows one api follows all."""
    one, two = await both_up(several)
    await only_at(several, "api-2", "w2")
    async with one.http.stream("GET", "/events/stream") as stream:
        job_id = (await two.submit("note"))["job"]["id"]
        with trio.fail_after(60):
            async for line in stream.aiter_lines():
                if line.startswith("data:") and job_id in line and '"succeeded"' in line:
                    break


@pytest.mark.faults
async def test_a_bus_that_is_cut_delays_and_loses_nothing(
    several: SeveralApis, postgresql: PostgresServer
) -> None:
    """Its connections are ended again and again while jobs come in at one api for the other's."""
    one, two = await both_up(several)
    await only_at(several, "api-2", "w2")
    ids: list[str] = []
    for number in range(60):
        ids.append((await one.submit("note"))["job"]["id"])
        if number % 10 == 0:
            postgresql.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'hermesd-bus'"
            )
    for job_id in ids:
        assert (await one.ended(job_id))["state"] == "succeeded"

    async def agree() -> bool:
        return same(await one.stats(), await two.stats())

    await until(agree, "the apis to count the same")
    several.history.check(ids)


async def test_two_apis_that_share_a_backlog_seldom_want_the_same_job(
    several: SeveralApis,
) -> None:
    """Each job starts once, both take part, and most are wanted by one of them only.

    How many by both depends on how long an api may have stood still: after a second of waiting a
    job is anybody's.
    """
    one, two = await both_up(several)
    await only_at(several, "api-1", "w1")
    await only_at(several, "api-2", "w2")
    slow = {"seconds": 0.2}
    ids = [job_id for _ in range(4) for job_id in await one.submit_many("note", slow, 500)]
    await one.all_ended()
    jobs = several.history.check(ids)
    assert Counter(row.lease for row in jobs.values()) == {1: len(ids)}
    assert len({start.pid for start in several.history.starts()}) == 2
    conflicts = [
        await client.metric("hermesd_assign_conflicts_total", queue="default")
        for client in (one, two)
    ]
    assert sum(conflicts) < len(ids) / 2, conflicts
