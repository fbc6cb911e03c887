"""`hermesd doctor` about store, broker, certificate and a running daemon, all of them real."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

from hermesd.stores.migrate import upgrade

PATIENCE_SECONDS = 150.0
Diagnose = Callable[..., tuple[int, dict[str, list[Any]]]]


def the(found: list[Any]) -> tuple[str, str, str]:
    """The verdict, what was seen, and the remedy of a single finding."""
    (finding,) = found
    return finding["verdict"], finding["seen"], finding["remedy"]


def test_a_store_without_a_folder_fails(diagnose: Diagnose, tmp_path: Path) -> None:
    """The remedy makes it."""
    code, found = diagnose(HERMES_STORE__URL=f"sqlite:///{tmp_path}/none/hermes.db")
    verdict, _, remedy = the(found["store"])
    assert (code, verdict) == (1, "fail")
    assert f"{tmp_path}/none" in remedy


def test_a_file_that_is_no_database_fails(diagnose: Diagnose, tmp_path: Path) -> None:
    """Whatever it is."""
    (tmp_path / "hermes.db").write_bytes(b"no database" * 1000)
    code, found = diagnose()
    assert (code, the(found["store"])[0]) == (1, "fail")
    assert "not a database" in the(found["store"])[1]


def test_a_schema_that_this_version_cannot_use_fails(diagnose: Diagnose, tmp_path: Path) -> None:
    """A newer one; an older one only where it may not be migrated."""
    upgrade(f"sqlite:///{tmp_path}/hermes.db")
    assert the(diagnose()[1]["store schema"])[0] == "ok"

    def schema_is(version: str) -> None:
        with sqlite3.connect(tmp_path / "hermes.db") as connection:
            connection.execute("UPDATE hermesd_schema SET version_num = ?", (version,))

    schema_is("0001")
    assert the(diagnose()[1]["store schema"])[0] == "ok"
    code, found = diagnose(HERMES_STORE__MIGRATE="false")
    assert (code, the(found["store schema"])[0]) == (1, "fail")
    assert "hermesd db upgrade" in the(found["store schema"])[2]
    schema_is("9999")
    code, found = diagnose()
    assert (code, the(found["store schema"])[0]) == (1, "fail")
    assert "newer" in the(found["store schema"])[1]


def test_a_disk_that_is_full_fails(environ: dict[str, str], tmp_path: Path) -> None:
    """A small one in a mount namespace of its own, which needs no rights."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"mount -t tmpfs -o size=1m none {disk} && cat /dev/zero >{disk}/rest 2>/dev/null; "
    python = f"'{sys.executable}' -m hermesd.cli doctor --role api --json --timeout 60"
    env = {**environ, "HERMES_STORE__URL": f"sqlite:///{disk}/hermes.db"}
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script + python],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    found = {each["check"]: each for each in json.loads(done.stdout)["findings"]}
    assert found["store disk"]["verdict"] == found["store fsync"]["verdict"] == "fail"
    assert "[retention]" in found["store disk"]["remedy"]
    assert "No space left" in found["store fsync"]["seen"]


def test_a_certificate_is_renewed_in_time(diagnose: Diagnose, tmp_path: Path) -> None:
    """One that is good, one that ends soon, one that has ended, one whose key is another's."""
    authority, now = trustme.CA(), datetime.now(UTC)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    keys = {"HERMES_API__TLS_CERT_FILE": str(cert), "HERMES_API__TLS_KEY_FILE": str(key)}

    def ending_in(days: int) -> tuple[int, tuple[str, str, str]]:
        begin, end = now - timedelta(days=90), now + timedelta(days=days, hours=1)
        own = authority.issue_cert("localhost", not_before=begin, not_after=end)
        cert.write_bytes(b"".join(part.bytes() for part in own.cert_chain_pems))
        key.write_bytes(own.private_key_pem.bytes())
        key.chmod(0o600)
        code, found = diagnose("--role", "api", **keys)
        return code, the(found["certificate"])

    assert ending_in(60) == (0, ("ok", f"{cert} ends in 60 days", ""))
    code, (verdict, seen, remedy) = ending_in(3)
    assert (code, verdict, "ends in 3 days" in seen) == (0, "warn", True)
    assert "SIGHUP" in remedy
    code, (verdict, seen, remedy) = ending_in(-3)
    assert (code, verdict, "has expired" in seen) == (1, "fail", True)
    key.write_bytes(authority.issue_cert("localhost").private_key_pem.bytes())
    code, found = diagnose("--role", "api", **keys)
    verdict, seen, remedy = the(found["certificate"])
    assert (code, verdict) == (1, "fail")
    assert "api.tls_key_file" in remedy


def test_a_database_that_is_well(diagnose: Diagnose, postgresql_url: str) -> None:
    """Everything about it is looked at, and nothing of it fails."""
    code, found = diagnose("--role", "api", HERMES_STORE__URL=postgresql_url)
    looked = {name: the(found[name])[0] for name in found if name.startswith("store")}
    parts = ("schema", "writable", "durability", "connections", "clock")
    assert (code, looked) == (0, dict.fromkeys(("store", *(f"store {p}" for p in parts)), "ok"))
    assert the(found["store"])[1].startswith("PostgreSQL ")


def test_a_database_that_is_not_reached_fails(
    diagnose: Diagnose, postgresql: Any, unused_port: int
) -> None:
    """Nobody there, and a wrong password, which is not shown."""
    nobody = f"postgresql://u:s3cret@127.0.0.1:{unused_port}/db"
    refused = postgresql.url("postgres", user="guarded:s3cret")
    for url in (nobody, refused):
        code, found = diagnose("--role", "api", HERMES_STORE__URL=url)
        assert (code, the(found["store"])[0]) == (1, "fail")
        assert "store.url" in the(found["store"])[2]
        assert "s3cret" not in json.dumps(found)


def test_a_database_of_another_encoding_fails(diagnose: Diagnose, postgresql: Any) -> None:
    """It could not hold all payloads."""
    postgresql.ask("CREATE DATABASE ascii_only ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    try:
        url = postgresql.url("ascii_only")
        code, found = diagnose("--role", "api", HERMES_STORE__URL=url)
    finally:
        postgresql.drop("ascii_only")
    assert (code, the(found["store"])[0]) == (1, "fail")
    assert "--encoding=UTF8" in the(found["store"])[2]


def test_a_user_without_rights_fails(
    diagnose: Diagnose, postgresql: Any, postgresql_url: str
) -> None:
    """The tables are another one's, or cannot be made."""
    name = postgresql_url.rpartition("/")[2].partition("?")[0]
    empty = postgresql.fresh()
    postgresql.ask("CREATE ROLE stranger LOGIN")
    postgresql.ask("GRANT SELECT ON hermesd_schema TO stranger", database=name)
    try:
        url = postgresql.url(name, user="stranger")
        code, found = diagnose("--role", "api", HERMES_STORE__URL=url)
        verdict, seen, remedy = the(found["store writable"])
        assert (code, verdict) == (1, "fail")
        assert "stranger has no right to SELECT, INSERT, UPDATE, DELETE" in seen
        assert "OWNED BY" in remedy
        url = postgresql.url(empty, user="stranger")
        code, found = diagnose("--role", "api", HERMES_STORE__URL=url)
        assert (code, the(found["store writable"])[0]) == (1, "fail")
        assert "GRANT CREATE ON SCHEMA public TO stranger" in the(found["store writable"])[2]
    finally:
        for database in (name, empty):
            postgresql.drop(database)
        postgresql.ask("DROP ROLE stranger")


def test_a_server_that_can_lose_commits_is_told(diagnose: Diagnose, postgresql_url: str) -> None:
    """What was switched off, and where."""
    url = f"{postgresql_url}&options=-c%20synchronous_commit%3Doff"
    code, found = diagnose("--role", "api", HERMES_STORE__URL=url)
    verdict, seen, remedy = the(found["store durability"])
    assert (code, verdict) == (0, "warn")
    assert "synchronous_commit off" in seen
    assert "synchronous_commit" in remedy


def test_a_server_with_another_clock_fails(
    diagnose: Diagnose, postgresql: Any, postgresql_url: str
) -> None:
    """It is shown one that is an hour behind."""
    name = postgresql_url.rpartition("/")[2].partition("?")[0]
    postgresql.ask("CREATE SCHEMA behind", database=name)
    late = "SELECT pg_catalog.clock_timestamp() - interval '1 hour'"
    function = "CREATE FUNCTION behind.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
    postgresql.ask(f"{function} AS $${late}$$", database=name)
    path = "-c%20search_path%3Dbehind%2Cpg_catalog%2Cpublic"
    code, found = diagnose("--role", "api", HERMES_STORE__URL=f"{postgresql_url}&options={path}")
    verdict, seen, remedy = the(found["store clock"])
    assert (code, verdict, seen) == (1, "fail", "3600 s ahead of that of the server")
    assert "NTP" in remedy


def test_a_broker_and_its_queues(diagnose: Diagnose, run: Any, rabbitmq: Any) -> None:
    """Absent ones are told, differing ones fail; as declared, all is well."""
    keys = {
        "HERMES_QUEUE__KIND": "amqp",
        "HERMES_QUEUE__URL": rabbitmq.url(),
        "HERMES_QUEUE__NAMESPACE": "ailing",
        "HERMES_QUEUE__CALL_TIMEOUT_SECONDS": "60",
    }
    code, found = diagnose("--role", "api", **keys)
    assert (code, the(found["broker"])[0]) == (0, "ok")
    assert the(found["broker"])[1].startswith("RabbitMQ ")
    assert the(found["broker topology"])[0] == "warn"
    assert the(found["broker topology"])[2] == "hermesd topology apply"
    assert run("topology", "apply", **keys).exit_code == 0
    assert the(diagnose("--role", "api", **keys)[1]["broker topology"])[0] == "ok"
    swapped = {
        "HERMES_QUEUE__NAMES__OUTCOMES": "ailing.dlq",
        "HERMES_QUEUE__NAMES__DEAD_LETTER_QUEUE": "ailing.outcomes",
    }
    code, found = diagnose("--role", "api", **keys, **swapped)
    assert (code, {each["verdict"] for each in found["broker topology"]}) == (1, {"fail"})


def test_a_broker_that_is_not_reached_fails(
    diagnose: Diagnose, rabbitmq: Any, unused_port: int
) -> None:
    """Nobody there, and a wrong password, which is not shown."""
    keys = {"HERMES_QUEUE__KIND": "amqp", "HERMES_QUEUE__CALL_TIMEOUT_SECONDS": "60"}
    for url, remedy in (
        (f"amqp://u:s3cret@127.0.0.1:{unused_port}", "start the broker"),
        (rabbitmq.url("guest:s3cret"), "queue.password_file"),
    ):
        code, found = diagnose("--role", "worker", HERMES_QUEUE__URL=url, **keys)
        assert (code, the(found["broker"])[0]) == (1, "fail")
        assert remedy in the(found["broker"])[2]
        assert "s3cret" not in json.dumps(found)


def test_beside_a_running_daemon_all_is_well(diagnose: Diagnose, serving: dict[str, Any]) -> None:
    """Its ports are its own, its store is in use, its api answers and has the same clock."""
    ports = {
        f"HERMES_{section}__PORT": serving[name].rpartition(":")[2]
        for section, name in (("API", "api"), ("CONTROL", "control"), ("WORKER", "dispatch"))
    }
    endpoints = json.dumps([serving["control"]])
    code, found = diagnose(**ports, HERMES_CONTROL__ENDPOINTS=endpoints)
    assert code == 0
    assert [finding["verdict"] for finding in found["ports"]] == ["ok"] * 3
    assert all(
        "held by" in finding["seen"] and f"process {serving['pid']} (" in finding["seen"]
        for finding in found["ports"]
    )
    assert f"in use by process {serving['pid']}" in the(found["store"])[1]
    assert the(found["endpoints"])[0] == the(found["clock"])[0] == "ok"
