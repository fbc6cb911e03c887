"""How the store reaches its server: TLS, passwords, and what is said when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from databases.postgresql import GUARDED, PASSWORD, PostgresServer
from databases.stores import opened

from hermesd.config import load
from hermesd.core.errors import StoreUnavailable
from hermesd.testing.clock import ManualClock


@pytest.fixture
def database(postgresql: PostgresServer, postgresql_template: str) -> str:
    """The name of a fresh one, of a role that needs its password."""
    name = postgresql.fresh(postgresql_template)
    exists = postgresql.ask("SELECT 1 FROM pg_roles WHERE rolname = %s", GUARDED)
    if not exists:
        postgresql.ask(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'")
    for table in ("TABLES", "SEQUENCES"):
        postgresql.ask(f"GRANT ALL ON ALL {table} IN SCHEMA public TO {GUARDED}", database=name)
    return name


async def test_a_password_comes_from_its_file(
    postgresql: PostgresServer, database: str, tmp_path: Path, clock: ManualClock
) -> None:
    """Whatever is in it; the connection is encrypted, and the server is who it should be."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    query = f"sslmode=verify-full&sslrootcert={postgresql.authority_file}"
    url = postgresql.url(database, user=GUARDED, query=query)
    path = tmp_path / "hermes.toml"
    path.write_text(f"[store]\nurl = '{url}'\npassword_file = 'password'\n")
    config = load([path], {})
    async with opened(config.store.url, clock=clock) as store:
        await store.check()
        found = postgresql.ask(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE usename = %s",
            GUARDED,
        )
    assert found == [(True,)]


async def test_a_wrong_password_is_told(
    postgresql: PostgresServer, database: str, clock: ManualClock
) -> None:
    """Without the password."""
    url = postgresql.url(database, user=f"{GUARDED}:hunter2")
    with pytest.raises(StoreUnavailable, match="password authentication failed") as refused:
        async with opened(url, clock=clock):
            pass
    assert "hunter2" not in refused.value.detail


async def test_a_server_of_another_authority_is_refused(
    postgresql: PostgresServer, database: str, tmp_path: Path, clock: ManualClock
) -> None:
    """Where its certificate is asked for."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    url = postgresql.url(database, query=f"sslmode=verify-full&sslrootcert={other}")
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        async with opened(url, clock=clock):
            pass
