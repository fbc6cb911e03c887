"""Names of endpoints, as this machine resolves them."""

from __future__ import annotations

import json

import pytest

from hermesd.core.errors import Unavailable
from hermesd.daemon.names import SystemResolver
from processes.deployment import Deployment


async def test_a_name_has_its_addresses_once() -> None:
    """As endpoints, ready to be dialled."""
    found = await SystemResolver().addresses("localhost", 80)
    assert {"127.0.0.1:80", "[::1]:80"}.issuperset(found)
    assert len(found) == len(set(found)) >= 1


@pytest.mark.parametrize("name", ["nowhere.invalid", "x" * 80 + ".test"])
async def test_a_name_without_an_address_is_unavailable(name: str) -> None:
    """Whether it is unknown (RFC 6761 section 6.4) or can be none."""
    with pytest.raises(Unavailable):
        await SystemResolver().addresses(name, 80)


async def test_a_worker_registers_by_name(deployment: Deployment) -> None:
    """A name that is not known costs nothing but a warning."""
    await deployment.api()
    endpoints = ["nowhere.invalid:50051", f"localhost:{deployment.control_port}"]
    worker = await deployment.worker("w1", HERMES_CONTROL__ENDPOINTS=json.dumps(endpoints))
    await deployment.client.routable("w1")
    await worker.logged("cannot resolve the endpoint", endpoint="nowhere.invalid:50051")
    answer = await deployment.client.submit("note")
    job = await deployment.client.ended(answer["job"]["id"])
    assert job["state"] == "succeeded"
