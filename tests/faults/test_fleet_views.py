"""What the apis of one PostgreSQL tell of the fleet, while one of them is killed with -9."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from databases.postgresql import PostgresServer
from processes.client import until
from processes.daemon import DaemonProcess
from processes.several import SeveralApis, open_several
from processes.submitter import Answers, bodies, submit_all

SUBMITS = 1500  # at each of the apis
CONNECTIONS = 8
NAMES = ("api-1", "api-2")


@pytest.fixture
async def several(tmp_path: Path, postgresql_url: str) -> AsyncIterator[SeveralApis]:
    """Two apis with an empty store; nothing is started."""
    async with open_several(tmp_path, postgresql_url, NAMES) as opened:
        yield opened


async def all_up(several: SeveralApis) -> DaemonProcess:
    """Both apis, a worker that both know, and one for each that only it knows; the first api."""
    first, _ = [await several.api(name) for name in NAMES]
    await several.worker("w1")
    for worker, name in (("w2", "api-1"), ("w3", "api-2")):
        endpoints = json.dumps([f"127.0.0.1:{several.control_port(name)}"])
        await several.worker(worker, HERMES_CONTROL__ENDPOINTS=endpoints)
        await several.client(name).routable(worker)
    await several.routable("w1")
    return first


async def told(several: SeveralApis, name: str) -> dict[str, int]:
    """Jobs by state, as an api tells."""
    stats = await several.client(name).stats()
    return {state: number for state, number in stats["jobs"].items() if number}


async def agree(several: SeveralApis) -> None:
    """Return when both apis tell of the jobs what the database says."""

    async def look() -> bool:
        rows = Counter(row.state for row in several.history.jobs().values())
        return [await told(several, name) for name in NAMES] == [dict(rows)] * len(NAMES)

    try:
        await until(look, "the apis to tell what is true")
    except AssertionError as error:
        rows = Counter(row.state for row in several.history.jobs().values())
        found = [await told(several, name) for name in NAMES]
        raise AssertionError(f"{error}: {found}, in truth {dict(rows)}") from error


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(2))
async def test_a_killed_api_loses_no_job_and_leaves_no_wrong_count(
    several: SeveralApis, seed: int
) -> None:
    """Submits at either, one of them killed at a random moment and started again."""
    chance = random.Random(seed)
    moment = chance.randrange(SUBMITS // 10, SUBMITS // 2)
    doomed = await all_up(several)
    answers = {name: Answers() for name in NAMES}
    submits = bodies("note", [{"seconds": 0.02}] * SUBMITS)

    async def submit(name: str) -> None:
        port = several.client(name).port
        await submit_all(port, submits, connections=CONNECTIONS, answers=answers[name])

    async with trio.open_nursery() as nursery:
        for name in NAMES:
            nursery.start_soon(submit, name)
        await answers["api-1"].reached(moment)
        doomed.kill9()
        await doomed.wait()
        await several.api("api-1")
    await several.routable("w1")
    for name in NAMES:
        await several.client(name).all_ended()
    accepted = [job_id for each in answers.values() for job_id in each.accepted]
    jobs = several.history.check(accepted)
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(jobs)}
    assert len(set(accepted)) == len(accepted)
    await agree(several)


@pytest.mark.faults
async def test_a_database_that_dies_takes_the_bus_with_it_and_brings_it_back(
    several: SeveralApis, postgresql: PostgresServer
) -> None:
    """Afterwards the apis know of each other's doings again, and count what is true."""
    await all_up(several)
    answers = Answers()
    submits = bodies("note", [{"seconds": 0.02}] * SUBMITS)

    async def die() -> None:
        await answers.reached(SUBMITS // 5)
        postgresql.kill()
        postgresql.start()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(die)
        await submit_all(
            several.client("api-1").port, submits, connections=CONNECTIONS, answers=answers
        )
    await several.client("api-2").all_ended()
    jobs = several.history.check(answers.accepted)
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(jobs)}
    await agree(several)
    job = await several.client("api-1").submit("note")
    await several.client("api-2").ended(job["job"]["id"])
    await agree(several)
