"""The package's units under a real systemd: what an operator sees of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hermesd.observe.message_ids import MESSAGE_IDS
from systemd.hermes import Hermes
from systemd.lines import Lines
from systemd.machine import HOST
from systemd.peers import Peers

pytestmark = pytest.mark.faults

LOAD = Path(__file__).with_name("load.py")
CALLS = '[plugins.settings.http]\nallowed_hosts = ["127.0.0.1"]\n'


def entry(**fields: str) -> Callable[[str], bool]:
    """Whether a line of the journal has these fields."""
    return lambda line: json.loads(line).items() >= fields.items()


def test_an_instance_of_both_roles_serves_and_says_so(hermes: Hermes) -> None:
    """Its status line is the daemon's own, and its state is its user's alone."""
    hermes.start("both")
    shown = hermes.show("both")
    assert (shown["ActiveState"], shown["SubState"]) == ("active", "running")
    assert "jobs in flight 0" in shown["StatusText"]
    places = ("/var/lib/hermesd/", f"/proc/{shown['MainPID']}")
    users = hermes.machine.said("stat", "--format=%U %a", *places).splitlines()
    assert users == ["hermesd 700", "hermesd 555"]


def test_the_doctor_finds_an_installation_well(hermes: Hermes) -> None:
    """Before its first start, and as it runs; also with the eyes of the daemon's user."""
    for step in ("before", "running"):
        if step == "running":
            hermes.start("both")
        found = hermes.cli("doctor", "--role", "both", "--user", "hermesd")["findings"]
        verdicts = {each["check"]: each["verdict"] for each in found}
        assert "fail" not in verdicts.values()
        assert (verdicts["store"], verdicts["permissions"]) == ("ok", "ok")
    assert verdicts["systemd"] == "ok"


def test_an_api_and_two_workers_are_instances_of_one_unit(hermes: Hermes) -> None:
    """Each with an id of its own, on one configuration."""
    hermes.start("api", "worker", "worker-2")
    names = [f"{HOST}-worker", f"{HOST}-worker-2"]
    with hermes.follow("--unit=hermesd@api") as journal:
        for name in names:
            journal.wait(entry(HERMES_EVENT="worker registered", HERMES_WORKER_ID=name))
    workers = hermes.cli("workers", "list")["workers"]
    assert sorted(each["worker_id"] for each in workers) == names


def test_a_wrong_configuration_is_not_started_again_and_again(hermes: Hermes) -> None:
    """systemctl fails, the journal says why, and systemd lets it be."""
    hermes.configure("[api]\nprot = 1\n")
    hermes.systemctl("start", "hermesd@api", status=1)
    shown = hermes.show("api")
    assert (shown["ActiveState"], shown["NRestarts"]) == ("failed", "0")
    said = "".join(each["MESSAGE"] for each in hermes.log("--unit=hermesd@api"))
    assert "did you mean 'port'" in said


def test_a_reload_changes_what_it_may_and_interrupts_nothing(hermes: Hermes) -> None:
    """One that is refused fails, and leaves everything as it is."""
    hermes.start("both")
    pid = hermes.pid("both")
    hermes.configure("[worker]\nthread_slots = 3\nasync_slots = 2\nprocess_slots = 1\n")
    with hermes.follow("--unit=hermesd@both") as journal:
        hermes.systemctl("reload", "hermesd@both")
        reloaded = json.loads(journal.wait(entry(HERMES_EVENT="configuration reloaded")))
        hermes.configure("[worker]\nthread_slots = 0.5\n")
        assert "failed" in hermes.systemctl("reload", "hermesd@both", status=1)
        journal.wait(lambda line: "worker.thread_slots" in json.loads(line)["MESSAGE"])
    shown = hermes.show("both")
    assert (shown["MainPID"], shown["ActiveState"]) == (pid, "active")
    assert "worker.thread_slots" in reloaded["HERMES_CHANGED"]


def test_one_that_stands_still_is_ended_and_started_anew(hermes: Hermes) -> None:
    """By the watchdog."""
    hermes.drop_in("[Service]\nWatchdogSec=5\nTimeoutAbortSec=1\nRestartSec=0\n")
    hermes.start("both")
    pid = hermes.pid("both")
    hermes.machine.run("kill", "-STOP", pid)
    with hermes.follow("--unit=hermesd@both") as journal:
        journal.wait(lambda line: "Watchdog timeout" in json.loads(line)["MESSAGE"])
        journal.wait(
            lambda line: (
                json.loads(line).get("HERMES_EVENT") == "ready" and json.loads(line)["_PID"] != pid
            )
        )
    assert hermes.show("both")["NRestarts"] == "1"


def test_a_drain_that_goes_on_is_not_cut_short(hermes: Hermes, peers: Peers) -> None:
    """A running job is seen through, although systemd would give it less time."""
    hermes.configure(f"{CALLS}[drain]\nseconds = 60\n")
    hermes.drop_in("[Service]\nTimeoutStopSec=2\n")
    hermes.start("api", "worker")
    job_id = hermes.submit("http", {"url": f"{peers.url}/slow/8"})
    peers.called("/slow/8")
    hermes.systemctl("stop", "hermesd@worker")
    log = {each.get("HERMES_EVENT"): each for each in hermes.log("--unit=hermesd@worker")}
    began, ended = (int(log[each]["__MONOTONIC_TIMESTAMP"]) for each in ("draining", "drained"))
    assert ended - began > 2_000_000
    assert (log["drained"]["HERMES_HANDED_ON"], "stopped" in log) == ("0", True)
    assert hermes.job(job_id)["state"] == "succeeded"


def test_a_second_sigterm_gives_the_jobs_back_at_once(hermes: Hermes, peers: Peers) -> None:
    """They wait for another worker, and the attempt does not count."""
    hermes.configure(f"{CALLS}[drain]\nseconds = 600\n")
    hermes.start("api", "worker")
    job_id = hermes.submit("http", {"url": f"{peers.url}/held/a"})
    peers.called("/held/a")
    with hermes.follow("--unit=hermesd@worker", "--unit=hermesd@api") as journal:
        for event in ("draining", "drained"):
            hermes.systemctl("kill", "--kill-whom=main", "--signal=SIGTERM", "hermesd@worker")
            journal.wait(entry(HERMES_EVENT=event))
        journal.wait(entry(HERMES_EVENT="job released", HERMES_JOB_ID=job_id))
    assert hermes.job(job_id)["state"] == "queued"
    peers.answer("a")
    with hermes.follow(f"HERMES_JOB_ID={job_id}") as journal:
        hermes.systemctl("restart", "hermesd@worker")
        journal.wait(entry(HERMES_EVENT="job succeeded"))
    assert hermes.job(job_id)["attempts"] == 1


def test_with_sockets_a_restart_of_the_api_refuses_nobody(hermes: Hermes) -> None:
    """Who connects meanwhile waits, and is served."""
    sockets = ("hermesd-http@api.socket", "hermesd-control@api.socket")
    hermes.systemctl("start", *sockets, "hermesd@api", "hermesd@worker")
    with Lines.of(hermes.machine.beside(sys.executable, str(LOAD), "8081")) as load:
        load.wait(lambda line: json.loads(line) == {"status": 202})
        pid = hermes.pid("api")
        hermes.systemctl("restart", "hermesd@api")
        assert hermes.pid("api") not in (pid, "0")
        load.wait(lambda line: True, after=len(load.so_far) + 20)
        assert load.ended() == 0
        answers = {line for line in load.so_far if line != '{"status": 202}'}
    assert answers == set()


def test_the_journal_tells_a_job_s_story(hermes: Hermes, peers: Peers) -> None:
    """Over api and worker, by its id; and explains itself."""
    hermes.configure(CALLS)
    hermes.start("api", "worker")
    job_id = hermes.run("http", {"url": f"{peers.url}/now"})["id"]
    match = f"HERMES_JOB_ID={job_id}"
    with hermes.follow(match) as journal:
        journal.wait(entry(HERMES_EVENT="job succeeded"))
        journal.wait(entry(HERMES_EVENT="job ended"))
    story = hermes.log(match)
    units = {each["HERMES_EVENT"]: each["_SYSTEMD_UNIT"] for each in story}
    assert units["job accepted"] == units["job succeeded"] == "hermesd@api.service"
    assert units["job ended"] == "hermesd@worker.service"
    ended = next(each for each in story if each["HERMES_EVENT"] == "job succeeded")
    assert ended["MESSAGE_ID"] == MESSAGE_IDS["job succeeded"]
    explained = hermes.machine.said("journalctl", "--quiet", "--catalog", match)
    assert f"Job {job_id} of type http ran for" in explained
