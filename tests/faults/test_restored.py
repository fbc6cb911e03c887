"""A backup of PostgreSQL is restored while a worker runs on (fault 32)."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from databases.postgresql import PROGRAMS, PostgresServer
from processes.broker import Broker
from processes.client import until
from processes.deployment import QUICK
from processes.rungs import owned, serves, started
from processes.several import PostgresHistory, SeveralApis, open_several

from hermesd.stores import identity


@pytest.fixture
async def alone(tmp_path: Path, postgresql_url: str) -> AsyncIterator[SeveralApis]:
    """One api with an empty store; nothing is started."""
    async with open_several(tmp_path, postgresql_url, ("api-1",)) as opened:
        yield opened


def program(name: str) -> str:
    """A program of the newest PostgreSQL here."""
    found = sorted(PROGRAMS.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    return str(found[-1])


def back_up(url: str, file: Path) -> None:
    """By PostgreSQL's own means, while it is in use."""
    command = [program("pg_dump"), "--format=custom", f"--file={file}", url]
    subprocess.run(command, check=True, capture_output=True)


def restore(server: PostgresServer, file: Path) -> str:
    """Into a database of its own; its url."""
    url = server.url(server.fresh())
    command = [program("pg_restore"), f"--dbname={url}", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return url


@pytest.mark.faults
async def test_outcomes_of_the_time_after_a_backup_are_refused(
    alone: SeveralApis, postgresql: PostgresServer, tmp_path: Path
) -> None:
    """What ran at the backup runs anew; its worker's outcomes, and its leases, are those of a past.

    Afterwards each job of the backup has ended once, under a lease of the restored store.
    """
    api, client = await alone.api("api-1"), alone.client("api-1")
    await alone.worker("w1", HERMES_WORKER__ASYNC_SLOTS="10")
    await alone.routable("w1")
    running = await client.submit_many("note", {"seconds": 6.0}, 10)
    waiting = await client.submit_many("note", {"seconds": 0.0}, 10)
    await client.running(10)
    before = alone.history.jobs()
    file = tmp_path / "backup"
    await trio.to_thread.run_sync(back_up, alone.url, file)
    api.kill9()
    await api.wait()

    url = await trio.to_thread.run_sync(restore, postgresql, file)
    found = await trio.to_thread.run_sync(identity.renew, url, 1_900_000_000.0)
    assert found.jobs == 20
    assert found.store_id != found.before
    alone.settings(HERMES_STORE__URL=url)
    await alone.api("api-1")
    history = PostgresHistory(url, alone.record_file)

    async def ended() -> bool:
        return history.live() == 0

    await until(ended, "all jobs to end")
    jobs = history.check([*running, *waiting])
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert all(row.lease > before[job_id].lease + 1000 for job_id, row in jobs.items())
    leases = {(start.job_id, start.lease) for start in history.starts()}
    assert all((job_id, before[job_id].lease) in leases for job_id in running)
    assert await client.metric("hermesd_invariant_breaches_total") == 0


@pytest.mark.faults
async def test_messages_and_outcomes_of_the_time_before_are_refused(
    alone: SeveralApis, broker: Broker, postgresql: PostgresServer, tmp_path: Path
) -> None:
    """RabbitMQ keeps jobs of the old identity, and outcomes of some: all end as dead letters.

    Each job of the backup has ended once under a lease of the restored store; what was submitted
    after the backup is not there, and its message makes no job.
    """
    alone.settings(**QUICK, **broker.settings())
    api, client = await alone.api("api-1"), alone.client("api-1")
    await serves(alone.seen_from("api-1"), "amqp")
    kept = await client.submit_many("note", {"seconds": 0.2}, 60)
    await owned(alone.seen_from("api-1"), kept)
    before = alone.history.jobs()
    file = tmp_path / "backup"
    await trio.to_thread.run_sync(back_up, alone.url, file)
    later = await client.submit_many("note", {"seconds": 0.2}, 60)
    await owned(alone.seen_from("api-1"), later)
    api.kill9()
    await api.wait()
    cut_off = await alone.worker("w1", HERMES_WORKER__ASYNC_SLOTS="2")
    await started(alone.seen_from("api-1"), 20)
    cut_off.sigterm()
    assert await cut_off.wait() == 0
    ran = {start.job_id for start in alone.history.starts()}
    old = await broker.messages()
    assert (old["default.normal"], old["outcomes"]) == (120 - len(ran), len(ran))

    url = await trio.to_thread.run_sync(restore, postgresql, file)
    found = await trio.to_thread.run_sync(identity.renew, url, 1_900_000_000.0)
    assert found.jobs == len(kept)
    alone.settings(HERMES_STORE__URL=url)
    again = await alone.api("api-1")
    for name in ("w2", "w3"):
        await alone.worker(name)
    history = PostgresHistory(url, alone.record_file)

    async def all_over() -> bool:
        left = await broker.messages()
        return not history.live() and left.pop("dlq") == 120 and not sum(left.values())

    await until(all_over, "the old messages to be dead letters, and the jobs to end", 120)
    jobs = history.check(kept)
    assert jobs.keys() == set(kept)
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert all(row.lease > before[job_id].lease + 1000 for job_id, row in jobs.items())
    new = Counter(s.job_id for s in history.starts() if s.lease > before[kept[0]].lease + 1000)
    assert new == dict.fromkeys(kept, 1)
    assert len(again.events("unusable outcome")) == len(ran)
    assert await client.metric("hermesd_invariant_breaches_total") == 0
