"""Workers find their apis by a name in DNS, whose records come and go."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from processes.client import until
from processes.deployment import QUICK
from processes.nameserver import open_nameserver
from processes.ports import free_port
from processes.several import SeveralApis, open_several

NAME = "apis.hermesd.test"
ADDRESSES = {"api-1": "127.0.0.1", "api-2": "127.0.0.2"}
PATIENT = QUICK | {"HERMES_LIVENESS__TTL_SECONDS": "6"}
WHY_NOT = "needs root, for a mount namespace and port 53"

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason=WHY_NOT),
]


@pytest.fixture
async def several(tmp_path: Path, postgresql_url: str) -> AsyncIterator[SeveralApis]:
    """Two apis with an empty store; nothing is started."""
    async with open_several(tmp_path, postgresql_url, tuple(ADDRESSES)) as opened:
        yield opened


async def test_a_worker_follows_the_records_of_a_name(several: SeveralApis, tmp_path: Path) -> None:
    """One address, then two, then the other one alone: each api there has the worker in time."""
    several.settings(**PATIENT)
    port = free_port()
    apis = {
        name: await several.api(name, HERMES_CONTROL__HOST=address, HERMES_CONTROL__PORT=str(port))
        for name, address in ADDRESSES.items()
    }
    one, two = several.client("api-1"), several.client("api-2")
    async with open_nameserver(NAME, tmp_path) as names:
        several.start_through(names.prefix())
        names.records = [ADDRESSES["api-1"]]
        worker = await several.worker(
            "w1", HERMES_CONTROL__ENDPOINTS=json.dumps([f"{NAME}:{port}"])
        )
        await one.routable("w1")
        assert not worker.events("registered", api="api-2")

        names.records = list(ADDRESSES.values())
        await two.routable("w1")
        answers = [await client.submit("note") for client in (one, two)]
        assert {answer["routed"] for answer in answers} == {"direct"}

        names.records = [ADDRESSES["api-2"]]
        apis["api-1"].kill9()
        await apis["api-1"].wait()
        await worker.logged("endpoint is gone", endpoint=f"{ADDRESSES['api-1']}:{port}")
        ids = await two.submit_many("note", {}, 20)
        for job_id in ids:
            assert (await two.ended(job_id))["state"] == "succeeded"

        async def moved() -> bool:
            return {each["status"] for each in await two.workers()} == {"idle"}

        await until(moved, "the worker to be idle")
        assert names.asked >= 3
