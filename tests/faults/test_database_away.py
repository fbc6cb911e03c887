"""PostgreSQL restarted, its backends ended, and killed amid commits (faults 14, 15 and 28)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from databases.cutter import Cut, open_cutter
from databases.postgresql import PostgresServer
from processes.client import until
from processes.cost import as_cheap_again, job_cost, pushed_again
from processes.deployment import Deployment
from processes.keyed import UNKNOWN, KeyedStream, Said, check_said, jobs_of_keys, keyed_submits
from processes.several import PostgresHistory, SeveralApis, open_several

APIS = ("api-1", "api-2")
BREACHES = "hermesd_invariant_breaches_total"
REPEATS = "hermesd_store_repeats_total"
SERVING = "hermesd_store_serving"
JOB = {"seconds": 0.02}
ENDED_BACKENDS = 24
KILLS = 3
ROUNDS = 10
LOOKS, LOOK_SECONDS = 1000, 0.02


@pytest.fixture
async def several(tmp_path: Path, postgresql_url: str) -> AsyncIterator[SeveralApis]:
    """Two apis and two workers that both can send jobs to."""
    async with open_several(tmp_path, postgresql_url) as opened:
        opened.settings(HERMES_STORE__CONNECT_TIMEOUT_SECONDS="2")
        for name in APIS:
            await opened.api(name)
        for name in ("w1", "w2"):
            await opened.worker(name)
        await opened.routable("w1", "w2")
        yield opened


async def came_through(several: SeveralApis, stream: KeyedStream) -> None:
    """Every answer was true, every job has ended once, and no invariant was broken."""
    await several.all_ended()
    stream.check(several.url)
    jobs = several.history.check(stream.accepted)
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(jobs)}
    surely, keyed = len(stream.accepted), len(jobs_of_keys(several.url))
    assert surely <= keyed <= surely + stream.statuses[UNKNOWN]
    assert [await several.client(name).metric(BREACHES) for name in APIS] == [0, 0]


async def serving(several: SeveralApis, name: str, wanted: float) -> None:
    """Return when the api's metric says of the store whether its last commit succeeded."""

    async def look() -> bool:
        return await several.client(name).metric(SERVING) == wanted

    await until(look, f"{SERVING} {wanted:g} of {name}")


@pytest.mark.faults
async def test_a_restart_of_postgresql_is_refusals_for_a_while(
    several: SeveralApis, postgresql: PostgresServer
) -> None:
    """503 with Retry-After at each api meanwhile; both recover by themselves, nothing is lost.

    Afterwards a job costs what it did before.
    """
    before = await job_cost(several)
    async with keyed_submits(several.ports, JOB) as stream:
        await stream.more(200, taken=True)
        try:
            await trio.to_thread.run_sync(postgresql.stop)
            await stream.more(100, taken=False)
            for name in APIS:
                answer = await several.client(name).http.get("/jobs")
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["Retry-After"]) >= 1
                await serving(several, name, 0)
        finally:
            await trio.to_thread.run_sync(postgresql.start)
        await stream.more(400, taken=True)
    assert stream.statuses[503] >= 50
    for name in APIS:
        # The other may have taken all those submits before this one looked for the server again.
        await serving(several, name, 1)
        again = await several.client(name).submit("note", JOB)
        assert (await several.client(name).ended(again["job"]["id"]))["state"] == "succeeded"
        await pushed_again(several.client(name))
    await as_cheap_again(several, before)
    await came_through(several, stream)


@pytest.mark.faults
async def test_nobody_notices_backends_that_are_ended(
    several: SeveralApis, postgresql: PostgresServer
) -> None:
    """One after the other, whatever they are for: every submit is taken, and a metric tells.

    Afterwards a job costs what it did before.
    """

    async def repeats() -> float:
        return sum([await several.client(name).metric(REPEATS) for name in APIS])

    cost = await job_cost(several)
    before = await repeats()
    ended: list[int] = []
    async with keyed_submits(several.ports, JOB) as stream:
        await stream.more(50, taken=True)
        while len(ended) < ENDED_BACKENDS:
            one = await trio.to_thread.run_sync(end_one, postgresql, several.url, ended)
            ended.append(one)
            await stream.more(10, taken=True)
    assert set(stream.statuses) <= {200, 202}, stream.statuses
    assert 1 <= await repeats() - before <= len(ended)
    for name in APIS:
        await pushed_again(several.client(name))
    await as_cheap_again(several, cost)
    await came_through(several, stream)


@pytest.mark.faults
async def test_a_kill_amid_commits_makes_no_answer_untrue(
    several: SeveralApis, postgresql: PostgresServer
) -> None:
    """Taken is there, refused is absent, and what nobody can know is said to be unknown."""
    async with keyed_submits(several.ports, JOB) as stream:
        for _ in range(KILLS):
            await stream.more(150, taken=True)
            try:
                await trio.to_thread.run_sync(postgresql.kill)
            finally:
                await trio.to_thread.run_sync(postgresql.start)
        await stream.more(150, taken=True)
    assert set(stream.statuses) <= {200, 202, 503, 504}, stream.statuses
    assert stream.statuses[503] + stream.statuses[504]
    await came_through(several, stream)


@pytest.mark.faults
async def test_a_commit_that_nobody_can_tell_of_is_outcome_unknown(
    deployment: Deployment, postgresql: PostgresServer, postgresql_url: str
) -> None:
    """PostgreSQL commits a submit and is out of reach before it can say so: 504, never 503."""
    name = postgresql_url.rpartition("/")[2].partition("?")[0]
    async with open_cutter(postgresql.port) as cutter:
        url = postgresql_url.replace(f":{postgresql.port}/", f":{cutter.port}/")
        given = {"HERMES_STORE__URL": url, "HERMES_STORE__CONNECT_TIMEOUT_SECONDS": "2"}
        await deployment.both(**given)
        await deployment.client.routable("both")
        said: list[Said] = []
        for number in range(ROUNDS):
            cutter.cuts, cutter.refuse_after_cut = [Cut.AFTER], True
            await trio.to_thread.run_sync(end_writers, postgresql, name)
            async with keyed_submits([deployment.client.port], JOB, f"round-{number}") as stream:
                await stream.more(20, taken=False)
            await cutter.listen()
            said += stream.said
            if stream.statuses[UNKNOWN]:  # else it was a commit without a submit
                break
        assert Counter(each.status for each in said)[UNKNOWN]
        history = PostgresHistory(postgresql_url, deployment.record_file)
        await until_ended(history)
        check_said(said, postgresql_url)
        history.check([each.job_id for each in said if each.job_id is not None])
        there = jobs_of_keys(postgresql_url)
        assert any(each.status == UNKNOWN and each.key_hash in there for each in said)


async def until_ended(history: PostgresHistory) -> None:
    """Return when no job waits or runs."""

    async def look() -> bool:
        return history.live() == 0

    await until(look, "all jobs to end")


def end_writers(server: PostgresServer, database: str) -> None:
    """End the writing connections: the next one names its COMMIT once more."""
    server.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = %s AND application_name = 'hermesd-writer'",
        database,
    )


def end_one(server: PostgresServer, url: str, ended: list[int]) -> int:
    """End the daemons' oldest connection that was not ended yet; its process id."""
    name = url.rpartition("/")[2].partition("?")[0]
    for _ in range(LOOKS):
        rows = server.ask(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = %s AND application_name LIKE 'hermesd-%%' AND NOT pid = ANY(%s) "
            "ORDER BY backend_start LIMIT 1",
            name,
            ended,
        )
        if rows and server.ask("SELECT pg_terminate_backend(%s, 5000)", rows[0][0]) == [(True,)]:
            return int(rows[0][0])
        time.sleep(LOOK_SECONDS)  # the server does not tell of those that come
    raise AssertionError("the daemons do not connect")
