"""A daemon on PostgreSQL: it works, says so when the server is away, and comes back by itself."""

from __future__ import annotations

import trio
from databases.postgresql import PostgresServer

from processes.client import until
from processes.deployment import Deployment


async def test_a_daemon_on_postgresql_outlives_its_server(
    deployment: Deployment, postgresql: PostgresServer
) -> None:
    """On an empty database; refusals while it is away have a time to come back at."""
    url = postgresql.url(postgresql.fresh())
    client = deployment.client
    daemon = await deployment.both(HERMES_STORE__URL=url, HERMES_STORE__CONNECT_TIMEOUT_SECONDS="2")
    await client.routable("both")
    first = await client.submit("note")
    assert (await client.ended(first["job"]["id"]))["state"] == "succeeded"

    await trio.to_thread.run_sync(postgresql.kill)
    try:
        for _ in range(3):
            refused = await client.http.post("/jobs", json={"type": "note", "payload": {}})
            assert refused.status_code == 503, refused.text
            assert int(refused.headers["Retry-After"]) >= 1
        assert (await client.http.get(f"/jobs/{first['job']['id']}")).status_code == 503
    finally:
        await trio.to_thread.run_sync(postgresql.start)

    async def taken() -> str | None:
        answer = await client.http.post("/jobs", json={"type": "note", "payload": {}})
        found: str | None = answer.json()["job"]["id"] if answer.status_code == 202 else None
        return found

    again = await until(taken, "a submit that is taken")
    assert again is not None
    assert (await client.ended(again))["state"] == "succeeded"
    daemon.sigterm()
    assert await daemon.wait() == 0


async def test_a_daemon_without_its_server_says_so_and_ends(
    deployment: Deployment, postgresql: PostgresServer
) -> None:
    """For its supervisor to start it again later."""
    url = postgresql.url("missing")
    daemon = await deployment.start("api", "api", HERMES_STORE__URL=url)
    assert await daemon.wait() not in (0, None)
    assert 'database \\"missing\\" does not exist' in daemon.told()
