"""A schedule's fires while its api is killed again and again, and while its clock is set."""

from __future__ import annotations

import random
import sqlite3
import struct
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
import trio
from processes.client import until
from processes.deployment import Deployment
from processes.several import open_several

pytestmark = pytest.mark.faults
KILLS = 10
SCHEDULES = 10
FIRES = 200
SETTINGS = {
    f"HERMES_SCHEDULES__S{n}__{key}": value
    for n in range(SCHEDULES)
    for key, value in {
        "CRON": "@every 1s",
        "TYPE": "note",
        "MISFIRE": "catch-up",
        "CATCH_UP_LIMIT": "100",
    }.items()
}


def fires_of(store: Path) -> list[tuple[str, int, str | None, str]]:
    """(schedule, time in microseconds, job, what) of each fire, by schedule and time."""
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(
            "SELECT schedule, fire_us, job_id, what FROM fires ORDER BY schedule, fire_us"
        ).fetchall()


def jobs_of(store: Path) -> list[tuple[str, str]]:
    """(id, labels) of each job."""
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute("SELECT id, labels FROM jobs").fetchall()


async def test_each_fire_is_once_though_its_api_is_killed_ten_times(
    deployment: Deployment,
) -> None:
    """No second is left out, none has two jobs, and no job is without its fire."""
    chance = random.Random(5)
    await deployment.worker("w1")
    for _ in range(KILLS):
        api = await deployment.api(**SETTINGS)
        await trio.sleep(chance.uniform(0.3, 2.0))  # the fault's own moment
        api.kill9()
        await api.wait()
    await deployment.api(**SETTINGS)

    async def enough() -> bool:
        return len(fires_of(deployment.store)) >= FIRES

    await until(enough, f"{FIRES} fires")
    answers = [
        await deployment.client.http.post(f"/schedules/s{n}/pause") for n in range(SCHEDULES)
    ]
    assert {answer.status_code for answer in answers} == {200}
    await deployment.client.all_ended()
    fires = fires_of(deployment.store)
    assert {what for *_, what in fires} == {"fired"}
    for n in range(SCHEDULES):
        times = [time // 1_000_000 for name, time, _, _ in fires if name == f"s{n}"]
        assert times == list(range(times[0], times[-1] + 1))
    jobs = jobs_of(deployment.store)
    assert Counter(job for job, _ in jobs) == Counter(job for _, _, job, _ in fires)
    assert max(Counter(labels for _, labels in jobs).values()) == 1
    deployment.history.check([job for job, _ in jobs])


async def test_a_clock_that_is_set_fires_nothing_early_or_twice(
    deployment: Deployment, tmp_path: Path
) -> None:
    """An hour forward, and back again: every job is created at or after the time it is for."""
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("d", 0.0))
    tick = {name: SETTINGS[name] for name in SETTINGS if "__S0__" in name}
    daemon = await deployment.both(CLOCK_FILE=str(clock), **(tick | _SKIP))
    await deployment.client.routable("both")

    def stepped(seconds: float) -> None:
        with clock.open("r+b") as opened:
            opened.write(struct.pack("d", seconds))

    async def more(count: int) -> None:
        known = len(fires_of(deployment.store))

        async def look() -> bool:
            return len(fires_of(deployment.store)) >= known + count

        await until(look, f"{count} more fires")

    await more(3)
    for seconds in (3600.0, 0.0):
        stepped(seconds)
        await more(5)
    assert daemon.events("schedule set back")
    with closing(sqlite3.connect(deployment.store)) as connection:
        rows = connection.execute("SELECT labels ->> 'fire_time', created_us FROM jobs").fetchall()
    assert max(Counter(time for time, _ in rows).values()) == 1
    for time, created_us in rows:
        assert created_us / 1_000_000 >= datetime.fromisoformat(time).timestamp()


_SKIP = {"HERMES_SCHEDULES__S0__MISFIRE": "skip"}


async def test_of_two_apis_on_one_database_one_is_killed_ten_times(
    tmp_path: Path, postgresql_url: str
) -> None:
    """Each fire is once, none is left out, and every job is of a fire."""
    chance = random.Random(17)
    async with open_several(tmp_path, postgresql_url) as several:
        several.settings(**SETTINGS)
        await several.api("api-2")
        await several.worker("w1")
        for _ in range(KILLS):
            mortal = await several.api("api-1")
            await trio.sleep(chance.uniform(0.2, 1.5))  # the fault's own moment
            mortal.kill9()
            await mortal.wait()
        client = several.client("api-2")

        async def enough() -> bool:
            return len(fired_in(postgresql_url)) >= FIRES

        await until(enough, f"{FIRES} fires")
        for n in range(SCHEDULES):
            assert (await client.http.post(f"/schedules/s{n}/pause")).status_code == 200
        await client.all_ended()
        fires = fired_in(postgresql_url)
        for n in range(SCHEDULES):
            times = [time // 1_000_000 for name, time, _ in fires if name == f"s{n}"]
            assert times == list(range(times[0], times[-1] + 1))
        jobs = several.history.check([job for _, _, job in fires])
        assert sorted(jobs) == sorted(job for _, _, job in fires)


def fired_in(url: str) -> list[tuple[str, int, str]]:
    """(schedule, time in microseconds, job) of each fire, by schedule and time."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT schedule, fire_us, job_id FROM fires ORDER BY schedule, fire_us"
        ).fetchall()
