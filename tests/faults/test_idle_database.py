"""What apis with nothing to do ask of PostgreSQL, however many workers are idle with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import trio
from databases.postgresql import PostgresServer
from processes.client import until
from processes.several import SeveralApis, open_several

WORKERS = tuple(f"w{number}" for number in range(1, 21))
BOOT_SECONDS = 300.0  # of so many workers, on a busy machine
SETTLING_SECONDS = 10.0
IDLE_SECONDS = 60.0  # all that is done every minute or more often
MOST = 4.5  # statements a second and api, with BEGIN and COMMIT


async def all_up(several: SeveralApis, names: tuple[str, ...]) -> None:
    """The apis, and idle workers that all of them can send jobs to."""
    for name in names:
        await several.api(name)
    async with trio.open_nursery() as nursery:
        for worker in WORKERS:
            nursery.start_soon(several.start_worker, worker)

    async def routable() -> bool:
        found = [await several.client(name).workers() for name in names]
        return all(sum(one["status"] == "idle" for one in each) == len(WORKERS) for each in found)

    await until(routable, f"{len(WORKERS)} idle workers", BOOT_SECONDS)


@pytest.mark.faults
@pytest.mark.parametrize("number", [1, 3])
async def test_an_idle_fleet_leaves_the_database_alone(
    tmp_path: Path, postgresql: PostgresServer, postgresql_url: str, number: int
) -> None:
    """One api or three, twenty workers: so few statements, by the server's own log."""
    database = postgresql_url.rpartition("/")[2].partition("?")[0]
    postgresql.tell_statements(database)
    names = tuple(f"api-{place + 1}" for place in range(number))
    async with open_several(tmp_path, postgresql_url, names) as several:
        await all_up(several, names)
        client = several.client("api-1")
        await client.ended((await client.submit("note"))["job"]["id"])
        await trio.sleep(SETTLING_SECONDS)
        before = len(postgresql.told_statements(database))
        await trio.sleep(IDLE_SECONDS)
        told = postgresql.told_statements(database)[before:]
    rate = len(told) / IDLE_SECONDS / number
    assert rate > 1, "they are not written down"
    assert rate < MOST, f"{rate:.2f} statements a second and api: {Counter(told).most_common(12)}"
