"""A daemon on PostgreSQL: it works, says so when the server is away, and comes back by itself."""

from __future__ import annotations

import trio
from databases.postgresql import GUARDED, PASSWORD, PostgresServer

from processes.client import until
from processes.deployment import Deployment
from processes.reloaded import ConfigFile, reload


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


async def test_a_new_password_is_used_after_a_reload(
    deployment: Deployment, postgresql: PostgresServer
) -> None:
    """By all connections that are made from then on."""
    client, secret = deployment.client, deployment.folder / "password"
    if not postgresql.ask("SELECT 1 FROM pg_roles WHERE rolname = %s", GUARDED):
        postgresql.ask(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'")
    database = postgresql.fresh()
    postgresql.ask(f"ALTER DATABASE {database} OWNER TO {GUARDED}")
    postgresql.ask(f"ALTER SCHEMA public OWNER TO {GUARDED}", database=database)
    secret.write_text(f"{PASSWORD}\n")
    file = ConfigFile(deployment.folder / "hermes.toml", {"store": {"password_file": str(secret)}})
    url = postgresql.url(database, user=GUARDED)
    daemon = await deployment.both(**file.settings, HERMES_STORE__URL=url)
    await client.routable("both")
    try:
        postgresql.ask(f"ALTER ROLE {GUARDED} PASSWORD 'another'")
        postgresql.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", database
        )

        async def refused() -> bool:
            answer = await client.http.post("/jobs", json={"type": "note"})
            return "password authentication failed" in answer.text

        await until(refused, "the old password to be refused")
        secret.write_text("another\n")
        line = await reload(daemon)
        assert line["changed"] == ["store.url"]

        async def taken() -> str | None:
            answer = await client.http.post("/jobs", json={"type": "note"})
            found: str | None = answer.json()["job"]["id"] if answer.status_code == 202 else None
            return found

        job_id = await until(taken, "a submit that is taken")
        assert job_id is not None
        assert (await client.ended(job_id))["state"] == "succeeded"
    finally:
        postgresql.ask(f"ALTER ROLE {GUARDED} PASSWORD '{PASSWORD}'")
    assert not any("another" in str(line) for line in daemon.log)
