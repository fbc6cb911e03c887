"""The life of the package on a machine: installed, upgraded, removed, purged."""

from __future__ import annotations

from pathlib import Path

import pytest
from wheels import GREETING, wheel

from systemd.hermes import CONFIG, Hermes
from systemd.machine import Machine
from systemd.newer import with_version

pytestmark = pytest.mark.faults

OWN = """# Mine.
[plugins.settings.email]
username = "hermes"
password_file = "smtp-password"
"""
SECRET = "[Service]\nLoadCredential=smtp-password:/etc/secret\n"
MINE = "# Mine.\n"
BROKEN = "[api]\nprot = 1\n"
VERSION = "99.0.0"
COMPLETION = "/usr/share/bash-completion/completions/hermesd"
PICTURE = {
    "source_base64": "R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==",
    "width": 8,
    "height": 8,
    "mode": "exact",
}


@pytest.fixture
def newer(package: Path, tmp_path: Path) -> Path:
    """What the package is upgraded to."""
    return with_version(package, VERSION, tmp_path / f"hermesd_{VERSION}_all.deb")


def installed_version(machine: Machine) -> str:
    return machine.said(
        "dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", "hermesd"
    )


def test_an_installation_is_whole_and_starts_nothing(hermes: Hermes) -> None:
    """Every file is as the package has it, the environment is the package's own, nothing runs."""
    machine = hermes.machine
    assert machine.said("dpkg", "--verify", "hermesd") == ""
    assert hermes.pid("both") == "0"
    where = "import hermesd, sys; print(hermesd.__file__, sys.prefix)"
    said = machine.said("/opt/hermesd/bin/python", "-c", where).split()
    assert all(each.startswith("/opt/hermesd") for each in said)
    assert machine.said("hermesd", "config", "check") == "ok"
    listed = hermes.cli("plugins", "list")
    assert {each["name"]: each["status"] for each in listed["plugins"]} == {
        "email": "loaded",
        "http": "loaded",
        "resize-image": "loaded",
    }
    manual = machine.said("zcat", "/usr/share/man/man5/hermes.toml.5.gz")
    assert "plugins.settings" in manual
    assert "hermesd_completion" in machine.said(
        "bash", "-c", f". {COMPLETION}; complete -p hermesd"
    )
    # No trace of where it was built.
    scripts = [
        each.read_bytes()
        for each in (machine.root / "opt/hermesd/bin").iterdir()
        if each.is_file() and not each.is_symlink()
    ]
    assert all(each.startswith(b"#!/opt/hermesd/bin/python") for each in scripts)


def test_an_upgrade_keeps_what_runs_running_and_the_configuration(
    hermes: Hermes, newer: Path
) -> None:
    """On the new version, with its jobs and its secrets; and starts nothing else."""
    hermes.configure(OWN)
    hermes.drop_in(SECRET)
    hermes.machine.write("/etc/secret", "open sesame", 0o600)
    hermes.start("api")
    job_id = hermes.submit("resize-image", PICTURE)
    pid = hermes.pid("api")
    hermes.machine.install(newer)
    assert installed_version(hermes.machine) == f"{VERSION} installed"
    assert (hermes.machine.root / CONFIG.lstrip("/")).read_text() == OWN
    assert hermes.show("api")["ActiveState"] == "active"
    assert hermes.pid("api") not in (pid, "0")
    assert hermes.job(job_id)["state"] == "queued"
    assert hermes.pid("worker") == "0"


def test_an_upgrade_does_not_restart_into_a_broken_configuration(
    hermes: Hermes, newer: Path
) -> None:
    """It says what is wrong, and what runs with the old one goes on; the rest is restarted."""
    hermes.start("api", "worker")
    pids = {each: hermes.pid(each) for each in ("api", "worker")}
    hermes.configure(BROKEN, instance="api")
    said = hermes.machine.install(newer).stderr
    assert "does not take the configuration of hermesd@api" in said
    assert "did you mean 'port'" in said
    assert installed_version(hermes.machine) == f"{VERSION} installed"
    assert hermes.pid("api") == pids["api"]
    assert hermes.pid("worker") not in (pids["worker"], "0")


def test_an_upgrade_judges_by_the_environment_of_the_unit(hermes: Hermes, newer: Path) -> None:
    """Which drop-ins give: it can mend a file, or be what is wrong."""
    environment = "[Service]\nEnvironment={}\nEnvironmentFile=/etc/default/%p-%i\n"
    for each, key in (("api", "HERMES_API__PORT=9999"), ("worker", "X=y")):
        hermes.machine.write(f"/etc/default/hermesd-{each}", "HERMES_DRAIN__SECONDS=20\n")
        hermes.drop_in(environment.format(key), f"hermesd@{each}.service")
    hermes.start("api", "worker")
    pids = {each: hermes.pid(each) for each in ("api", "worker")}
    hermes.configure("[api]\nport = 99999\n", instance="api")
    hermes.machine.write("/etc/default/hermesd-worker", "HERMES_DRAIN__SECNDS=20\n")
    said = hermes.machine.install(newer).stderr
    assert "HERMES_DRAIN__SECNDS: drain.secnds" in said
    assert "hermesd@api" not in said
    assert hermes.pid("api") not in (pids["api"], "0")
    assert hermes.pid("worker") == pids["worker"]
    left = hermes.machine.said("find", "/run", "-maxdepth", "3", "-name", "hermesd-check*")
    assert left == ""


def test_an_upgrade_keeps_the_plugins_of_others(
    hermes: Hermes, newer: Path, tmp_path: Path
) -> None:
    """They live in the package's environment, and go with it."""
    machine = hermes.machine
    made = wheel(tmp_path, "acme-greet", "1.0", GREETING)
    machine.write(f"/root/{made.name}", made.read_bytes())
    machine.run("hermesd", "plugins", "install", f"/root/{made.name}")
    hermes.start("both")
    assert hermes.run("acme.greet", {})["result"] == "hello"
    machine.install(newer)
    assert hermes.run("acme.greet", {})["result"] == "hello"
    assert machine.said("dpkg", "--verify", "hermesd") == ""
    machine.run("hermesd", "plugins", "remove", "acme-greet")
    assert "acme-greet" not in machine.said("hermesd", "plugins", "list")


def test_removed_it_leaves_jobs_and_configuration_purged_nothing(hermes: Hermes) -> None:
    """What runs is stopped first; after a new installation it is as it was."""
    machine = hermes.machine
    hermes.configure(MINE)
    hermes.systemctl("enable", "--now", "hermesd-http@both.socket", "hermesd@both")
    machine.run("dpkg", "--remove", "hermesd")
    left = machine.said("systemctl", "list-units", "--all", "--plain", "--no-legend", "hermesd*")
    assert "running" not in left
    assert not machine.exists("/opt/hermesd")
    assert machine.exists("/var/lib/hermesd/hermes.db")
    assert (machine.root / CONFIG.lstrip("/")).read_text() == MINE
    machine.run("dpkg", "--purge", "hermesd")
    gone = ("/etc/hermes.d", CONFIG, "/var/lib/hermesd", "/var/lib/private/hermesd")
    assert [each for each in gone if machine.exists(each)] == []
    wants = "/etc/systemd/system/{}.target.wants/hermesd{}"
    assert not machine.exists(wants.format("multi-user", "@both.service"))
    assert not machine.exists(wants.format("sockets", "-http@both.socket"))


def test_a_first_installation_says_what_is_wrong_with_a_configuration_that_is_there(
    hermes: Hermes, package: Path
) -> None:
    """It is kept, and nothing fails."""
    machine = hermes.machine
    machine.write("/root/hermesd.deb", package.read_bytes())
    for given in (BROKEN, "[api]\nport = 9999\n"):
        machine.run("dpkg", "--purge", "hermesd")
        hermes.configure(given)
        ended = machine.run("dpkg", "--force-confold", "--install", "/root/hermesd.deb")
        assert ("not started, since its configuration is wrong" in ended.stderr) == (
            given == BROKEN
        )
        assert ("did you mean 'port'" in ended.stderr) == (given == BROKEN)
        assert (machine.root / CONFIG.lstrip("/")).read_text() == given
    assert "To start it" in ended.stdout
