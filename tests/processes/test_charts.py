"""What the dashboard lives on, from daemons as processes: history, summaries, pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from processes.client import ApiClient, Json, until
from processes.deployment import Deployment
from processes.several import SeveralApis, open_several

NAMES = ("api-1", "api-2")


@pytest.fixture
async def several(tmp_path: Path, postgresql_url: str) -> AsyncIterator[SeveralApis]:
    """Two apis with an empty store; nothing is started."""
    async with open_several(tmp_path, postgresql_url, NAMES) as opened:
        yield opened


async def total(client: ApiClient, name: str, window: int) -> float:
    """How many of what the history shows."""
    answer = await client.http.get("/stats/history", params={"window": window})
    assert answer.status_code == 200, answer.text
    series = answer.json()["series"][name]
    return round(sum(number for number in series if number is not None), 3)


async def first_summary(client: ApiClient) -> Json:
    """What one who begins to watch is told at once."""
    async with client.http.stream("GET", "/events/summary") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found: Json = msgspec.json.decode(line[6:])
                return found
    raise AssertionError("the stream ended")


async def test_a_restart_keeps_the_charts(deployment: Deployment) -> None:
    """What an api did until it was told to stop is shown by its next life, which is another."""
    client = deployment.client
    before = await deployment.both()
    await client.routable("both")
    answer = await client.submit("note")
    await client.ended(answer["job"]["id"])
    told = await first_summary(client)
    assert (told["jobs"]["succeeded"], told["workers"]["workers"]) == (1, 1)
    before.sigterm()
    assert await before.wait() == 0
    await deployment.api()
    for window in (600, 3600, 86_400):
        for name in ("submitted", "started", "succeeded"):

            async def shown(window: int = window, name: str = name) -> bool:
                return await total(client, name, window) == 1

            await until(shown, f"{name} of {window} s")
    again = await first_summary(client)
    assert again["boot"] != told["boot"]
    page = await client.http.get("/", headers={"Accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.faults
async def test_two_apis_show_the_whole_fleet(several: SeveralApis) -> None:
    """Each what both did, within a step or two."""
    for daemon in [await several.api(name) for name in NAMES]:
        await daemon.logged("api heard of")
    clients = [several.client(name) for name in NAMES]
    for client in clients:
        await client.submit("note")

    async def shown() -> bool:
        return [await total(client, "submitted", 300) for client in clients] == [2, 2]

    await until(shown, "both to show both submits")
