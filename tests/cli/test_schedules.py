"""What `hermesd schedules` sends and prints."""

from __future__ import annotations

import json
from typing import Any

SCHEDULE: dict[str, Any] = {
    "name": "nightly",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "type": "clean",
    "payload": {"n": 1},
    "priority": 7,
    "labels": {"team": "ops"},
    "jitter_seconds": 30.0,
    "misfire": "catch-up",
    "misfire_grace_seconds": 60.0,
    "catch_up_limit": 4,
    "overlap": "skip",
    "source": "api",
    "paused": False,
    "revision": 3,
    "next_fire": "2126-11-23T01:30:00Z",
    "next_fires": ["2126-11-23T01:30:00Z", "2126-11-24T01:30:00Z"],
    "last_fires": [{"time": "2026-01-02T01:30:00Z", "kind": "fired", "job_id": "j1"}],
}


def test_schedules_are_listed(run: Any, api: Any) -> None:
    """A row each, tab-separated for a pipe."""
    api.json({"count": 1, "schedules": [SCHEDULE]})
    result = run("schedules", "list")
    head, row = [line.split("\t") for line in result.stdout.splitlines()]
    assert head == ["NAME", "CRON", "TIME ZONE", "TYPE", "SOURCE", "STATE", "NEXT FIRE"]
    assert row[:6] == ["nightly", "30 2 * * *", "Europe/Berlin", "clean", "api", "active"]
    assert row[6].startswith("2126-11-23 01:30:00")
    api.json({"count": 0, "schedules": []})
    assert "no schedules" in run("schedules", "list").stderr


def test_a_schedule_is_shown_whole(run: Any, api: Any) -> None:
    """With its next and last fires."""
    api.json({"schedule": SCHEDULE})
    shown = run("schedules", "show", "nightly").stdout
    for text in ("7 (high)", "team=ops", "catch-up, at most 4", "2126-11-24 01:30:00", "fired j1"):
        assert text in shown
    api.json({"schedule": SCHEDULE})
    told = json.loads(run("schedules", "show", "nightly", "--json").stdout)
    assert told["schedule"]["last_fires"][0]["job_id"] == "j1"


def test_the_next_fires_are_shown(run: Any, api: Any) -> None:
    """As many as are wanted; none of a paused one."""
    api.json({"schedule": SCHEDULE})
    result = run("schedules", "next", "nightly", "-n", "2")
    assert api.requests[0].query == [("next", "2"), ("last", "0")]
    assert [line[:10] for line in result.stdout.splitlines()] == ["2126-11-23", "2126-11-24"]
    api.json({"schedule": {**SCHEDULE, "paused": True, "next_fires": []}})
    result = run("schedules", "next", "nightly")
    assert (result.stdout, result.stderr) == ("", "it is paused\n")


def test_a_schedule_is_added_with_its_options(run: Any, api: Any) -> None:
    """Those that were not given are left to the api."""
    api.json({"schedule": SCHEDULE}, 201)
    args = ["--timezone", "Europe/Berlin", "--priority", "high", "--label", "team=ops"]
    args += ["--jitter", "30", "--misfire", "catch-up", "--overlap", "skip"]
    result = run("schedules", "add", "nightly", "30 2 * * *", "clean", '{"n": 1}', *args)
    assert result.stdout.startswith("nightly active, next fire 2126-11-23 01:30:00")
    assert (api.requests[0].method, api.requests[0].path) == ("POST", "/schedules")
    assert api.requests[0].json == {
        "name": "nightly",
        "cron": "30 2 * * *",
        "type": "clean",
        "payload": {"n": 1},
        "timezone": "Europe/Berlin",
        "priority": "high",
        "labels": {"team": "ops"},
        "jitter_seconds": 30.0,
        "misfire": "catch-up",
        "overlap": "skip",
    }
    api.json({"schedule": SCHEDULE})
    assert run("schedules", "add", "nightly", "@daily", "clean", "--replace").exit_code == 0
    assert (api.requests[1].method, api.requests[1].path) == ("PUT", "/schedules/nightly")


def test_a_schedule_is_changed_only_if_it_is_what_was_shown(run: Any, api: Any) -> None:
    """What somebody else has done to it meanwhile is told, and ends with 1."""
    api.json({"schedule": {**SCHEDULE, "etag": '"a"'}})
    assert 'etag\t"a"' in run("schedules", "show", "nightly").stdout
    for command in (("add", "nightly", "@daily", "clean"), ("delete", "nightly")):
        api.problem(412, "changed-meanwhile", "was changed meanwhile")
        result = run("schedules", *command, "--if-match", '"a"')
        assert (result.exit_code, "was changed meanwhile" in result.stderr) == (1, True)
    told = [(sent.method, sent.headers.get("if-match")) for sent in api.requests[1:]]
    assert told == [("PUT", '"a"'), ("DELETE", '"a"')]


def test_a_schedule_is_paused_resumed_triggered_and_deleted(run: Any, api: Any, job: Any) -> None:
    """Each says in a line what is so now."""
    api.json({"schedule": {**SCHEDULE, "paused": True, "next_fire": None}})
    assert run("schedules", "pause", "nightly").stdout == "nightly paused\n"
    api.json({"schedule": SCHEDULE})
    assert run("schedules", "resume", "nightly").stdout.startswith("nightly active, next fire")
    api.json({"job": job()}, 202)
    assert run("schedules", "trigger", "nightly").stdout == "j1\n"
    api.json({"schedule": SCHEDULE})
    assert run("schedules", "delete", "nightly").stdout == "nightly deleted\n"
    assert [sent.path.rpartition("/")[2] for sent in api.requests] == [
        "pause",
        "resume",
        "trigger",
        "nightly",
    ]
    for command, key in (("pause", "schedule"), ("trigger", "job"), ("delete", "schedule")):
        api.json({"schedule": SCHEDULE, "job": job()})
        assert key in json.loads(run("schedules", command, "nightly", "--json").stdout)


def test_a_refusal_ends_with_1(run: Any, api: Any) -> None:
    """And the api's words."""
    api.problem(409, "conflict", "there is a schedule 'nightly' already; replace it with PUT")
    result = run("schedules", "add", "nightly", "@daily", "clean")
    assert result.exit_code == 1
    assert "already" in result.stderr
