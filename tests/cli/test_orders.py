"""What `hermesd workers`, `queues` and `drain` send and print."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

HOST = socket.gethostname()
WORKER: dict[str, Any] = {
    "worker_id": "w1",
    "incarnation": "i1",
    "address": "10.0.0.1:9001",
    "machine": HOST,
    "status": "paused",
    "version": "0.1.0",
    "last_seen_unix": 1.0,
    "load": {"running": 2},
    "slots": {"async": 4},
    "free": {"async": 0},
    "types": ["t"],
    "queues": ["default"],
    "labels": {},
    "breaker": "closed",
    "since_unix": 2.0,
    "reason": "a new disk",
}
QUEUE: dict[str, Any] = {
    "name": "bulk",
    "declared": True,
    "paused": True,
    "paused_since": "2026-11-21T21:48:54.123456Z",
    "paused_by": "ada@host",
    "reason": "migration",
    "waiting": 12,
    "by_priority": {"7": 2, "3": 10},
    "at_broker": 3,
    "oldest_seconds": 75.0,
    "running": 1,
    "slots": 8,
    "free": 7,
    "workers": 2,
    "rung": "amqp",
}
FORECAST: dict[str, Any] = {
    "worker_id": "w1",
    "incarnation": "i1",
    "drain_seconds": 20.0,
    "finishes": 1,
    "handed_on": 1,
    "unknown": 0,
    "jobs": [
        {
            "id": "j1",
            "type": "email",
            "started_at": "2026-11-21T21:48:54Z",
            "elapsed_seconds": 3.0,
            "remaining_seconds": 4.5,
            "fate": "finishes",
            "why": "it says that 40% are done",
        },
        {
            "id": "j2",
            "type": "film",
            "started_at": "2026-11-21T21:48:54Z",
            "elapsed_seconds": 3.0,
            "remaining_seconds": 600.0,
            "fate": "handed-on",
            "why": "most of its type end within 603 s",
        },
    ],
}


def ordered(status: str = "draining", *, taken: bool = True) -> dict[str, Any]:
    """The answer on an order to w1."""
    worker = {"worker_id": "w1", "incarnation": "i1", "status": status, "taken": taken}
    return {"taken": taken, "workers": [worker]}


def fleet(*workers: dict[str, Any]) -> dict[str, Any]:
    """GET /workers."""
    return {"count": len(workers), "workers": list(workers)}


def test_workers_are_listed_with_why_they_stand(run: Any, api: Any) -> None:
    """By `workers` and by `workers list`; as JSON with all that the api said."""
    for arguments in (["workers"], ["workers", "list"]):
        api.json(fleet(WORKER))
        row = run(*arguments).stdout.splitlines()[1].split("\t")
        assert row[:6] == ["w1", "paused", HOST, "10.0.0.1:9001", "async 0/4", "default"]
        assert row[9].startswith("1970-01-01 00:00:02")
        assert row[10] == "a new disk"
    for arguments in (["workers", "--json"], ["workers", "list", "--json"], ["--json", "workers"]):
        api.json(fleet(WORKER))
        assert json.loads(run(*arguments).stdout)["workers"][0]["reason"] == "a new disk"


@pytest.mark.parametrize("kind", ["pause", "resume", "drain"])
def test_workers_are_ordered_by_name(run: Any, api: Any, kind: str) -> None:
    """With why and by whom."""
    api.json(ordered("paused"))
    result = run("workers", kind, "w1", "i2", "--reason", "a new disk")
    assert (result.exit_code, result.stdout) == (0, "w1 paused\n")
    sent = api.requests[0]
    assert (sent.method, sent.path) == ("POST", f"/workers/{kind}")
    assert sent.json["by"].endswith(f"@{HOST}")
    del sent.json["by"]
    assert {name: sent.json[name] for name in ("ids", "reason")} == {
        "ids": ["w1", "i2"],
        "reason": "a new disk",
    }


@pytest.mark.parametrize(
    ("arguments", "which"),
    [
        (["--label", "zone=a", "--machine", "h"], {"label": {"zone": "a"}, "machine": "h"}),
        (["--all"], {"all": True}),
    ],
)
def test_workers_are_ordered_by_what_they_are(
    run: Any, api: Any, arguments: list[str], which: dict[str, Any]
) -> None:
    """Label and machine, or all."""
    api.json(ordered("paused"))
    assert run("workers", "pause", *arguments).exit_code == 0
    sent = {name: value for name, value in api.requests[0].json.items() if name != "by"}
    assert sent == which


@pytest.mark.parametrize("arguments", [[], ["w1", "--all"], ["w1", "--machine", "h"]])
def test_it_must_be_clear_who_is_meant(run: Any, arguments: list[str]) -> None:
    """Before anything is sent."""
    result = run("workers", "drain", *arguments)
    assert result.exit_code == 64
    assert "say which workers" in result.stderr


def test_what_a_worker_has_not_confirmed_is_said(run: Any, api: Any) -> None:
    """It is no failure: it hears of it."""
    api.json(ordered("paused", taken=False))
    result = run("workers", "pause", "w1")
    assert (result.exit_code, result.stdout) == (0, "w1 paused\n")
    assert "has not confirmed yet" in result.stderr


def test_an_unknown_worker_is_refused(run: Any, api: Any) -> None:
    """As the api says."""
    api.problem(404, "not-found", "there is no worker 'w9'; GET /workers lists those")
    result = run("workers", "drain", "w9", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["slug"] == "not-found"


def test_a_drain_can_be_seen_through(run: Any, api: Any) -> None:
    """What becomes of the jobs, and who has left."""
    api.json(fleet(WORKER, {**WORKER, "worker_id": "w2", "incarnation": "i2"}))
    api.json({"status": "ok", "role": "api"})
    api.json(FORECAST)
    api.json(ordered())
    api.json(fleet({**WORKER, "status": "draining"}))
    api.json(fleet({**WORKER, "status": "elsewhere"}))
    result = run("workers", "drain", "w1", "--wait", "--at-once")
    assert result.exit_code == 0, result.stderr
    assert [sent.path for sent in api.requests[2:4]] == ["/workers/i1/forecast", "/workers/drain"]
    assert api.requests[3].json["at_once"] is True
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[0] == ["WORKER", "JOB", "TYPE", "RUNS FOR", "NEEDS STILL", "FATE", "WHY"]
    assert [row[5] for row in rows[1:]] == ["finishes", "handed-on"]
    assert "1 jobs are likely to end, 1 to be handed on" in result.stderr
    assert "w1 has left" in result.stderr


def test_this_host_is_drained(run: Any, api: Any) -> None:
    """All of its workers, by their incarnations; those of other hosts stay."""
    other = {**WORKER, "worker_id": "w2", "incarnation": "i2", "machine": "another"}
    api.json(fleet(WORKER, other))
    api.json({"status": "ok", "role": "api"})
    api.json(FORECAST)
    api.json(ordered())
    api.json(fleet(other))
    result = run("drain", "--reason", "reboot", "--json")
    assert result.exit_code == 0, result.stderr
    assert api.requests[3].json["ids"] == ["i1"]
    told = json.loads(result.stdout)
    assert (told["workers"], told["left"]) == (["w1"], [])
    assert told["forecasts"][0]["handed_on"] == 1


def test_a_drain_that_takes_too_long_is_told(run: Any, api: Any) -> None:
    """With what to do, and the code for trying again."""
    api.json(fleet(WORKER))
    api.json({"status": "ok", "role": "api"})
    api.json(FORECAST)
    api.json(ordered())
    api.json(fleet(WORKER))
    result = run("drain", "--timeout", "0")
    assert result.exit_code == 75
    assert "still draining: w1" in result.stderr


def test_a_drain_can_be_tried_dry(run: Any, api: Any) -> None:
    """Nothing is ordered."""
    api.json(fleet(WORKER))
    api.json(FORECAST)
    result = run("drain", "--dry-run")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 3)
    assert {sent.method for sent in api.requests} == {"GET"}


def test_the_api_may_go_with_its_worker(run: Any, api: Any) -> None:
    """Where both are one process."""
    api.json(fleet(WORKER))
    api.json({"status": "ok", "role": "both"})
    api.problem(404, "not-found", "gone")
    api.json(ordered())
    for _ in range(4):
        api.cut()
    result = run("drain")
    assert result.exit_code == 0, result.stderr
    assert "the api has ended with its worker" in result.stderr


def test_a_host_without_workers_is_drained_already(run: Any, api: Any) -> None:
    """Nobody is ordered."""
    api.json(fleet())
    result = run("drain")
    assert (result.exit_code, len(api.requests)) == (0, 1)
    assert "no worker of" in result.stderr


def test_workers_that_are_registered_with_other_apis_only_are_drained_too(
    run: Any, api: Any
) -> None:
    """They have left when they are listed no more."""
    elsewhere = {**WORKER, "status": "elsewhere"}
    api.json(fleet(elsewhere))
    api.json({"status": "ok", "role": "api"})
    api.json(FORECAST)
    api.json(ordered())
    api.json(fleet(elsewhere))
    api.json(fleet(elsewhere))
    api.json(fleet())
    result = run("drain")
    assert result.exit_code == 0, result.stderr
    assert (len(api.requests), "w1 has left" in result.stderr) == (7, True)


def test_workers_of_other_apis_are_not_taken_to_have_gone_with_this_one(run: Any, api: Any) -> None:
    """What becomes of them, nobody can say any more."""
    fellow = {**WORKER, "worker_id": "w2", "incarnation": "i2", "status": "elsewhere"}
    api.json(fleet(WORKER, fellow))
    api.json({"status": "ok", "role": "both"})
    api.problem(404, "not-found", "gone")
    api.problem(404, "not-found", "gone")
    both = ordered()["workers"] + [
        {**ordered()["workers"][0], "worker_id": "w2", "incarnation": "i2"}
    ]
    api.json({"taken": True, "workers": both})
    api.json(fleet(WORKER, fellow))
    for _ in range(4):
        api.cut()
    result = run("drain")
    assert result.exit_code == 75, result.stderr
    assert "still draining: w2 " in result.stderr


def test_queues_are_listed(run: Any, api: Any) -> None:
    """A row each."""
    api.json({"count": 1, "queues": [QUEUE]})
    head, row = [line.split("\t") for line in run("queues", "list").stdout.splitlines()]
    assert head[:4] == ["QUEUE", "STATE", "WAITING", "OLDEST"]
    assert row[:8] == ["bulk", "paused", "12", "75 s", "1", "7/8", "2", "amqp"]
    assert row[8].startswith("2026-11-21 21:48:54")
    assert row[9:] == ["ada@host", "migration"]
    api.json({"count": 1, "queues": [QUEUE]})
    assert json.loads(run("queues", "list", "--json").stdout)["queues"][0]["waiting"] == 12


def test_a_queue_is_shown(run: Any, api: Any) -> None:
    """With what waits by priority."""
    api.json({"queue": QUEUE})
    shown = run("queues", "show", "bulk").stdout
    for text in ("paused", "migration", "2 of 7, 10 of 3", "7 of 8", "75 s"):
        assert text in shown


def test_a_queue_is_paused_and_resumed(run: Any, api: Any) -> None:
    """With why."""
    api.json({"queue": QUEUE})
    result = run("queues", "pause", "bulk", "--reason", "migration")
    assert result.stdout == "bulk paused, 12 waiting\n"
    assert (api.requests[0].path, api.requests[0].json["reason"]) == (
        "/queues/bulk/pause",
        "migration",
    )
    api.json({"queue": {**QUEUE, "paused": False}})
    assert run("queues", "resume", "bulk").stdout == "bulk active, 12 waiting\n"
    assert api.requests[1].path == "/queues/bulk/resume"
    api.problem(404, "not-found", "queue 'x' is not declared", known=["bulk", "default"])
    result = run("queues", "pause", "x")
    assert result.exit_code == 1
    assert "known: bulk, default" in result.stderr
