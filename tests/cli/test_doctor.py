"""`hermesd doctor`: what is broken is found, with what mends it."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from hermesd.cli.doctor.machine import judged_unit, unit_properties

PATIENCE_SECONDS = 150.0
CHECKS = (
    *(
        "configuration",
        "secrets",
        "permissions",
        "ports",
        "certificate",
        "advertise",
        "store",
        "broker",
    ),
    *("endpoints", "clock", "plugins", "open files", "systemd"),
)
Diagnose = Callable[..., tuple[int, dict[str, list[Any]]]]


def the(found: list[Any]) -> tuple[str, str, str]:
    """The verdict, what was seen, and the remedy of a single finding."""
    (finding,) = found
    return finding["verdict"], finding["seen"], finding["remedy"]


def test_a_machine_that_is_well_has_nothing_that_fails(diagnose: Diagnose) -> None:
    """Every check says something, and the exit code is 0."""
    code, found = diagnose()
    assert (code, set(CHECKS) - set(found)) == (0, set())
    verdicts = {finding["verdict"] for findings in found.values() for finding in findings}
    assert "fail" not in verdicts


def test_nothing_is_changed(diagnose: Diagnose, tmp_path: Path) -> None:
    """The store's folder is as it was, though a file was synced there."""
    before = sorted(tmp_path.iterdir())
    code, found = diagnose()
    assert the(found["store fsync"])[0] in ("ok", "warn")
    assert (code, sorted(tmp_path.iterdir())) == (0, before)


def test_it_is_a_table_for_people(run: Any) -> None:
    """A line each, and what there is of each verdict."""
    answer = run("doctor", "--role", "worker", "--timeout", "60", HERMES_WORKER__HOST="192.0.2.1")
    assert answer.exit_code == 1
    heading, *rows = [line.split("\t") for line in answer.stdout.splitlines()]
    assert heading == ["VERDICT", "CHECK", "SEEN", "REMEDY"]
    assert {row[1] for row in rows} >= set(CHECKS)
    assert " fail" in answer.stderr


def test_a_wrong_configuration_is_all_that_is_said(diagnose: Diagnose) -> None:
    """With every problem in it."""
    code, found = diagnose(HERMES_API__PROT="1", HERMES_JOBS__MAX_ATTEMPTS="none")
    assert (code, list(found)) == (1, ["configuration"])
    told = [finding["seen"] for finding in found["configuration"]]
    assert any("did you mean 'port'?" in seen for seen in told)
    assert len(told) == 2


def test_a_role_and_an_instance_are_one_too_many(run: Any) -> None:
    """As for `hermesd serve`."""
    assert run("doctor", "--role", "api", "--instance", "worker").exit_code == 64


def test_a_secret_that_anybody_can_read_fails(diagnose: Diagnose, tmp_path: Path) -> None:
    """In a file of its own or in the configuration; it is not shown."""
    secret, config = tmp_path / "password", tmp_path / "own.toml"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    config.write_text('[queue]\nurl = "amqp://u@h"\npassword_file = "password"\n')
    config.chmod(0o644)
    args = {"HERMES_CONFIG": str(config), "HERMES_STORE__URL": f"sqlite:///{tmp_path}/hermes.db"}
    code, found = diagnose(**args)
    assert (code, the(found["secrets"])[0]) == (0, "ok")
    secret.chmod(0o644)
    code, found = diagnose(**args)
    verdict, seen, remedy = the(found["secrets"])
    assert (code, verdict) == (1, "fail")
    assert f"{secret} (mode 0644) holds queue.password_file" in seen
    assert f"chmod o-rwx {secret}" in remedy
    config.write_text('[queue]\nurl = "amqp://u:s3cret@h"\n')
    code, found = diagnose(**args)
    verdict, seen, remedy = the(found["secrets"])
    assert (code, verdict) == (1, "fail")
    assert f"{config} (mode 0644) holds queue.url" in seen
    assert "s3cret" not in json.dumps(found)


def test_a_configuration_that_anybody_can_change_fails(diagnose: Diagnose, tmp_path: Path) -> None:
    """Whoever can change it can have the daemon do anything."""
    config = tmp_path / "hermes.toml"
    config.chmod(0o666)
    code, found = diagnose()
    assert (code, the(found["permissions"])[0]) == (1, "fail")
    assert f"chmod o-w {config}" in the(found["permissions"])[2]


def test_what_the_daemons_user_may_not_do_fails(diagnose: Diagnose, tmp_path: Path) -> None:
    """Found out as that user, which only root can; others are told so."""
    (tmp_path / "hermes.toml").chmod(0o600)
    code, found = diagnose("--user", "nobody")
    if os.geteuid() == 0:
        seen = [finding["seen"] for finding in found["permissions"]]
        assert code == 1
        assert seen == [
            f"nobody cannot read {tmp_path}/hermes.toml",
            f"nobody cannot write {tmp_path}",
        ]
    else:
        assert the(found["permissions"])[0] == "skipped"
    code, found = diagnose("--user", "no-such-user")
    assert (code, the(found["permissions"])[0]) == (1, "fail")


def test_a_port_that_another_program_has_fails(diagnose: Diagnose) -> None:
    """It says which one."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        code, found = diagnose("--role", "worker", "--timeout", "2", HERMES_WORKER__PORT=port)
    verdict, seen, remedy = the(found["ports"])
    assert (code, verdict) == (1, "fail")
    assert f"worker: 127.0.0.1:{port} is held by process {os.getpid()} (" in seen
    assert "worker.port" in remedy


def test_an_address_of_another_machine_cannot_be_listened_on(diagnose: Diagnose) -> None:
    """The remedy is another key than for a port that is taken."""
    code, found = diagnose(HERMES_API__HOST="192.0.2.1", HERMES_API__PORT="8081")
    assert code == 1
    failed = [finding for finding in found["ports"] if finding["verdict"] == "fail"]
    assert "192.0.2.1:8081" in the(failed)[1]
    assert "api.host" in the(failed)[2]


def test_an_address_that_leads_nowhere_is_told(diagnose: Diagnose) -> None:
    """No name, the wrong machine, and a loopback address for an api elsewhere."""
    _, found = diagnose(HERMES_WORKER__ADVERTISE="no-such-host.invalid")
    assert the(found["advertise"])[0] == "fail"
    _, found = diagnose(HERMES_WORKER__ADVERTISE="192.0.2.1:9001")
    assert the(found["advertise"])[0] == "warn"
    assert "worker.advertise" in the(found["advertise"])[2]
    keys = {"HERMES_CONTROL__ENDPOINTS": '["192.0.2.7:50051"]'}
    code, found = diagnose("--role", "worker", HERMES_CONTROL__CALL_TIMEOUT_SECONDS="0.2", **keys)
    assert code == 1
    verdict, seen, remedy = the(found["advertise"])
    assert (verdict, "192.0.2.7 is another machine" in seen) == ("fail", True)
    assert "worker.host" in remedy


def test_an_api_that_is_not_reached_fails(diagnose: Diagnose, api: Any, unused_port: int) -> None:
    """Refused, no gRPC, and a name without an address."""
    other = api.url.removeprefix("http://")
    places = [f"127.0.0.1:{unused_port}", other, "no-such-host.invalid:1"]
    code, found = diagnose("--role", "worker", HERMES_CONTROL__ENDPOINTS=json.dumps(places))
    assert code == 1
    assert {finding["verdict"] for finding in found["endpoints"]} == {"fail"}
    assert [any(place in f["seen"] for f in found["endpoints"]) for place in places] == [True] * 3
    assert all("control.endpoints" in finding["remedy"] for finding in found["endpoints"])


class OtherTime(BaseHTTPRequestHandler):
    """An api whose clock is far ahead."""

    def do_GET(self) -> None:
        """GET /health."""
        self.send_response_only(200)
        self.send_header("Date", "Sat, 01 Jan 2135 00:00:00 GMT")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its signature
        """Not a word."""


@pytest.fixture
def other_time() -> Iterator[str]:
    """The url of an api with another clock."""
    with HTTPServer(("127.0.0.1", 0), OtherTime) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_clock_that_is_off_fails(diagnose: Diagnose, other_time: str) -> None:
    """It says which way."""
    code, found = diagnose(HERMES_URL=other_time)
    verdict, seen, remedy = the(found["clock"])
    assert (code, verdict) == (1, "fail")
    assert f"s behind that of the api at {other_time}" in seen
    assert "NTP" in remedy


def test_plugins_that_cannot_be_used_are_told(
    diagnose: Diagnose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason, and whether anything is left that a worker could run."""
    info = tmp_path / "site" / "ailing-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ailing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hermesd.plugins]\nailing = no_such_module_here\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    keys = {"HERMES_PLUGINS__ENABLED": '["ailing"]'}
    code, found = diagnose("--role", "api", **keys)
    verdict, seen, remedy = the(found["plugins"])
    assert (code, verdict) == (0, "warn")
    assert "no_such_module_here" in seen
    assert "plugins.disabled" in remedy
    code, found = diagnose("--role", "api", HERMES_PLUGINS__STRICT="true", **keys)
    assert (code, the(found["plugins"])[0]) == (1, "fail")
    code, found = diagnose(**keys)
    assert code == 1
    assert "worker.require_handlers" in found["plugins"][-1]["remedy"]


@pytest.mark.faults
def test_a_check_that_takes_too_long_is_left_behind(command: Any, tmp_path: Path) -> None:
    """A plugin whose import never ends; the others' findings are there."""
    info = tmp_path / "site" / "endless-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: endless\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hermesd.plugins]\nendless = endless\n")
    (tmp_path / "site" / "endless.py").write_text("import threading\nthreading.Event().wait()\n")
    env = {"PYTHONPATH": str(tmp_path / "site"), "HERMES_PLUGINS__ENABLED": '["endless"]'}
    process = command("doctor", "--role", "api", "--json", "--timeout", "8", env=env)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, err) == (1, "")
    found = {each["check"]: each for each in json.loads(out)["findings"]}
    assert found["plugins"]["seen"] == "nothing was found out within 8 s"
    assert found["store"]["verdict"] == "ok"


def test_too_few_open_files_are_told(diagnose: Diagnose) -> None:
    """By the limit of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        code, found = diagnose("--role", "api")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    verdict, seen, remedy = the(found["open files"])
    assert (code, verdict) == (0, "warn")
    assert seen.startswith("1024 ")
    assert "LimitNOFILE=" in remedy


UNIT = """\
Id=hermesd@worker.service
LoadState=loaded
ActiveState={active}
SubState={sub}
Result={result}
NRestarts={restarts}
LimitNOFILE=65536
"""


@pytest.mark.parametrize(
    ("active", "sub", "result", "restarts", "verdict"),
    [
        ("active", "running", "success", 0, "ok"),
        ("active", "running", "success", 3, "warn"),
        ("inactive", "dead", "success", 0, "warn"),
        ("failed", "failed", "exit-code", 0, "fail"),
        ("activating", "auto-restart", "watchdog", 2, "fail"),
    ],
)
def test_a_unit_is_judged_by_what_systemd_says(
    active: str, sub: str, result: str, restarts: int, verdict: str
) -> None:
    """In the words of `systemctl show`."""
    text = UNIT.format(active=active, sub=sub, result=result, restarts=restarts)
    finding = judged_unit(unit_properties(text))
    assert finding.verdict == verdict
    assert "hermesd@worker.service" in finding.seen
