"""The journal tells the whole life of a job, over api and worker, and nothing that is secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from journals.receiver import Entry, Receiver, open_receiver
from processes.ports import free_port

from hermesd.client import Client, NewJob
from hermesd.core.states import State
from hermesd.observe.message_ids import MESSAGE_IDS

SCRIPT: Final = Path(__file__).parents[1] / "journals" / "daemon.py"
PATIENCE_SECONDS: Final = 150.0
SECRETS: Final = ("PAYLOAD-MARK", "RESULT-MARK", "ERROR-MARK", "PASSWORD-MARK", "KEY-MARK")


class Fleet:
    """An api and a worker, as processes of their own; one journal hears both."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.receiver = receiver
        self.stderr = folder / "stderr"
        self.port, self._control = free_port(), free_port()
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, role: str, **settings: str) -> Entry:
        """Start a daemon; its entry that says that everything serves."""
        with self.stderr.open("ab") as stderr:
            found = os.fstat(stderr.fileno())
            environ = {name: text for name, text in os.environ.items() if "HERMES_" not in name}
            environ |= {
                "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}",
                "HERMES_STORE__URL": f"sqlite:///{self._folder}/hermes.db",
                "HERMES_API__NAME": "api-1",
                "HERMES_API__PORT": str(self.port),
                "HERMES_CONTROL__PORT": str(self._control),
                "HERMES_CONTROL__ENDPOINTS": json.dumps([f"127.0.0.1:{self._control}"]),
                "HERMES_WORKER__PORT": "0",
                "HERMES_WORKER__ID": "worker-1",
                "HERMES_WORKER__MAX_RESULT_BYTES": "1000",
                "HERMES_PLUGINS__SETTINGS__MAIL__PASSWORD": "PASSWORD-MARK",
                **settings,
            }
            arguments = [sys.executable, str(SCRIPT), role, self.receiver.path]
            process = subprocess.Popen(arguments, env=environ, stderr=stderr)
        self._processes.append(process)
        return self.receiver.until(
            lambda entry: entry["HERMES_EVENT"] == "ready" and entry["HERMES_ROLE"] == role
        )

    def client(self) -> Client:
        """A client of the api."""
        return Client(f"http://127.0.0.1:{self.port}")

    def stop(self) -> None:
        """Let all of them end as they do, the last one first."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 0

    def kill(self) -> None:
        """End what still runs."""
        for process in self._processes:
            process.kill()
            process.wait(PATIENCE_SECONDS)

    def story(self, job_id: str, last: str, attempts: int = 1) -> list[str]:
        """What `journalctl HERMES_JOB_ID=...` would show, once all of it has come.

        The api says `last` once, and the worker a line for each attempt; which of them comes first
        is chance.
        """

        def whole(_: Entry) -> bool:
            ended = len(self.of(job_id, "job ended"))
            return ended == attempts and bool(self.of(job_id, last))

        self.receiver.until(whole)
        return [entry["HERMES_EVENT"] for entry in self.of(job_id)]

    def of(self, job_id: str, event: str = "") -> list[Entry]:
        """The entries on a job."""
        return [
            entry
            for entry in self.receiver.entries
            if entry.get("HERMES_JOB_ID") == job_id and event in ("", entry["HERMES_EVENT"])
        ]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Nothing runs yet."""
    with open_receiver() as receiver:
        opened = Fleet(tmp_path, receiver)
        try:
            yield opened
        finally:
            opened.kill()


def test_the_journal_tells_the_story_of_each_job(fleet: Fleet) -> None:
    """By its id: how it came, where it ran, how it ended, and how long all that took."""
    # A broker that is away is told of again and again, and its password is none of it.
    away = f"amqp://user:PASSWORD-MARK@127.0.0.1:{free_port()}"
    broker = {"HERMES_QUEUE__KIND": "amqp", "HERMES_QUEUE__URL": away}
    fleet.start("api", **broker)
    payload = {"text": "PAYLOAD-MARK"}
    with fleet.client() as client:
        waiting = client.submit("well", payload, idempotency_key="KEY-MARK").job.id
        fleet.start("worker", **broker)
        client.wait(waiting, PATIENCE_SECONDS)
        ids = {name: client.submit(name, payload).job.id for name in ("flaky", "doomed", "bulky")}
        ids["well.process"] = client.submit("well.process", payload).job.id
        states = {name: client.wait(each, PATIENCE_SECONDS).state for name, each in ids.items()}
        error = client.job(ids["doomed"]).error
        assert error is not None
        assert error.message.startswith("ERROR-MARK")
    assert states == {
        "flaky": State.SUCCEEDED,
        "doomed": State.FAILED,
        "bulky": State.FAILED,
        "well.process": State.SUCCEEDED,
    }

    assert set(fleet.story(waiting, "job succeeded")) == {
        "job accepted",
        "job dispatched",
        "job ended",
        "job succeeded",
    }
    [accepted] = fleet.of(waiting, "job accepted")
    assert (accepted["HERMES_ROUTED"], accepted["HERMES_TYPE"]) == ("queue", "well")
    [ended] = fleet.of(waiting, "job ended")
    assert (ended["HERMES_WORKER_ID"], ended["HERMES_OUTCOME"]) == ("worker-1", "succeeded")
    [succeeded] = fleet.of(waiting, "job succeeded")
    assert succeeded["MESSAGE_ID"] == MESSAGE_IDS["job succeeded"]
    assert succeeded["HERMES_WORKER_ID"] == "worker-1"
    spans = [float(succeeded[f"HERMES_{name}_SECONDS"]) for name in ("WAITED", "RAN", "TOTAL")]
    assert spans[0] > 0
    assert spans[2] >= max(spans[:2])

    story = fleet.story(ids["flaky"], "job succeeded", attempts=2)
    assert sorted(story) == sorted(
        ["job accepted", "job ended", "job retries", "job queued", "job dispatched", "job ended",
         "job succeeded"]
    )  # fmt: skip
    assert [entry["HERMES_ERROR"] for entry in fleet.of(ids["flaky"], "job retries")] == ["error"]
    assert fleet.story(ids["doomed"], "job failed")[0] == "job accepted"
    [failed] = fleet.of(ids["doomed"], "job failed")
    assert (failed["PRIORITY"], failed["HERMES_ERROR"]) == ("4", "permanent")
    assert "job failed" in fleet.story(ids["bulky"], "job failed")

    fleet.receiver.until(lambda e: e.get("MESSAGE_ID") == MESSAGE_IDS["broker_away"])
    fleet.stop()
    fleet.receiver.waiting()
    everything = "\n".join("".join(entry.values()) for entry in fleet.receiver.entries)
    assert [mark for mark in SECRETS if mark in everything] == []
    assert fleet.stderr.read_text() == ""


def test_a_busy_daemon_writes_some_of_the_lines_and_counts_the_rest(fleet: Fleet) -> None:
    """So that they cost it little; failures have room of their own."""
    settings = {"HERMES_LOG__JOBS_PER_SECOND": "1", "HERMES_LOG__FLEET_SECONDS": "0.2"}
    fleet.start("both", **settings)
    with fleet.client() as client:
        ids = [each.id for each in client.submit_batch([NewJob(type="well")] * 60).jobs]
        doomed = client.submit("doomed").job.id
        for job_id in (*ids, doomed):
            client.wait(job_id, PATIENCE_SECONDS)

    def told(event: str) -> int:
        return sum(
            int(entry["HERMES_LINES_LEFT_OUT"])
            for entry in fleet.receiver.entries
            if entry["HERMES_EVENT"] == event
        )

    def written(*events: str) -> int:
        return sum(entry["HERMES_EVENT"] in events for entry in fleet.receiver.entries)

    fleet.story(doomed, "job failed")
    fleet.receiver.until(lambda _: told("fleet") + written("job accepted", "job succeeded") >= 121)
    fleet.receiver.until(lambda _: told("worker") + written("job ended") >= 61)
    assert written("job accepted", "job succeeded") < 60
    [failed] = fleet.of(doomed, "job failed")
    assert failed["CODE_FILE"].endswith("/api/story.py")

    def tells(rate: str) -> bool:
        entries = fleet.receiver.entries
        return any(rate in e["HERMES_RATES"] for e in entries if e["HERMES_EVENT"] == "fleet")

    for name in ("submitted", "succeeded"):  # the next line on the fleet tells of what came last
        fleet.receiver.until(lambda _, rate=f'"{name}"': tells(rate))
