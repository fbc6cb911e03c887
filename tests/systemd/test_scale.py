"""`hermesd scale` with the systemd of a machine."""

from __future__ import annotations

import pytest

from systemd.hermes import Hermes
from systemd.lines import Lines
from systemd.machine import HOST
from systemd.peers import Peers
from systemd.test_service import CALLS, entry

pytestmark = pytest.mark.faults

UNITS = ("--unit=hermesd@worker-2", "--unit=hermesd@worker-3")


def workers(hermes: Hermes) -> list[str]:
    """The ids of those that the api knows."""
    return sorted(each["worker_id"] for each in hermes.cli("workers", "list")["workers"])


def enabled(hermes: Hermes, number: int) -> str:
    return hermes.systemctl("is-enabled", f"hermesd@worker-{number}", status=None).strip()


def test_workers_are_scaled_up_and_down_and_no_job_is_lost(hermes: Hermes, peers: Peers) -> None:
    """Surplus ones see their jobs through first; what systemd and the api show is the same."""
    hermes.configure(f"{CALLS}[drain]\nseconds = 600\n[worker]\nasync_slots = 1\n")
    hermes.start("api")
    names = [f"{HOST}-worker-{number}" for number in (1, 2, 3)]
    told = hermes.cli("scale", "worker", "3")
    assert told["started"] == [f"hermesd@worker-{number}.service" for number in (1, 2, 3)]
    with hermes.follow("--unit=hermesd@api", *UNITS) as journal:
        for name in names:
            journal.wait(entry(HERMES_EVENT="worker registered", HERMES_WORKER_ID=name))
        assert workers(hermes) == names
        assert [enabled(hermes, number) for number in (1, 2, 3)] == ["enabled"] * 3
        assert "slots busy" in hermes.show("worker-3")["StatusText"]
        jobs = [hermes.submit("http", {"url": f"{peers.url}/held/{name}"}) for name in "abc"]
        for name in "abc":
            peers.called(f"/held/{name}")
        with Lines.of(hermes.machine.argv("hermesd", "--json", "scale", "worker", "1")) as scaling:
            for number in (2, 3):
                unit = f"hermesd@worker-{number}.service"
                journal.wait(entry(HERMES_EVENT="draining", _SYSTEMD_UNIT=unit))
            for name in "abc":
                peers.answer(name)
            assert scaling.ended() == 0
        for job_id in jobs:
            journal.wait(entry(HERMES_EVENT="job succeeded", HERMES_JOB_ID=job_id))
    assert [hermes.job(job_id)["attempts"] for job_id in jobs] == [1, 1, 1]
    assert workers(hermes) == names[:1]
    states = [hermes.show(f"worker-{number}")["ActiveState"] for number in (1, 2, 3)]
    assert states == ["active", "inactive", "inactive"]
    assert [enabled(hermes, number) for number in (1, 2, 3)] == ["enabled", *["disabled"] * 2]
    assert hermes.cli("scale", "worker", "1")["commands"] == []
