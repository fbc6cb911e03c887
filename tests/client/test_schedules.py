"""Calls about schedules, in each flavour of the client."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hermesd.client import RejectedError, UnavailableError, UnknownOutcomeError
from hermesd.core.errors import InvalidValue

SCHEDULE = {
    "name": "nightly",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "type": "clean",
    "payload": {"n": 1},
    "labels": {},
    "paused": False,
    "revision": 1,
    "next_fire": "2026-11-23T01:30:00.000000Z",
}
FIRE = {"time": "2026-11-22T01:30:00.000000Z", "kind": "fired", "job_id": "j1"}
DETAIL = {**SCHEDULE, "next_fires": [SCHEDULE["next_fire"]], "last_fires": [FIRE]}


def test_a_schedule_is_made_with_what_was_given(ask: Any, api: Any) -> None:
    """What was not, is left to the api."""
    api.json({"schedule": DETAIL}, 201)
    made = ask("make_schedule", "nightly", "30 2 * * *", "clean", {"n": 1}, timezone="UTC")
    sent = api.requests[0]
    assert (sent.method, sent.path) == ("POST", "/schedules")
    assert sent.json == {
        "name": "nightly",
        "cron": "30 2 * * *",
        "type": "clean",
        "payload": {"n": 1},
        "timezone": "UTC",
    }
    assert (made.name, made.payload, made.timezone) == ("nightly", {"n": 1}, "Europe/Berlin")
    assert made.next_fires == (datetime(2026, 11, 23, 1, 30, tzinfo=UTC),)
    assert [(fire.kind, fire.job_id) for fire in made.last_fires] == [("fired", "j1")]


def test_a_schedule_is_put_in_place_of_another(ask: Any, api: Any) -> None:
    """By PUT, which may be sent twice."""
    api.problem(503, "store-unavailable", retry_after="0")
    api.json({"schedule": DETAIL})
    ask("make_schedule", "nightly", "@daily", "clean", replace=True, labels={"a": "b"})
    assert {(sent.method, sent.path) for sent in api.requests} == {("PUT", "/schedules/nightly")}
    assert api.requests[1].json == {"cron": "@daily", "type": "clean", "labels": {"a": "b"}}


def test_a_schedule_is_changed_only_if_it_is_what_was_read(ask: Any, api: Any) -> None:
    """Not sent twice where it may have been carried out: the second one would be refused for it."""
    api.json({"schedule": {**DETAIL, "etag": '"a"'}})
    tag = ask("schedule", "nightly").etag
    api.problem(504, "outcome-unknown")
    with pytest.raises(UnknownOutcomeError):
        ask("make_schedule", "nightly", "@daily", "clean", if_match=tag)
    api.problem(412, "changed-meanwhile", "was changed")
    with pytest.raises(RejectedError, match="was changed"):
        ask("delete_schedule", "nightly", if_match=tag)
    told = [(sent.method, sent.headers.get("if-match")) for sent in api.requests]
    assert told == [("GET", None), ("PUT", '"a"'), ("DELETE", '"a"')]


def test_schedules_are_read(ask: Any, api: Any) -> None:
    """All of them, and one with as many fires as are wanted."""
    api.json({"count": 1, "schedules": [SCHEDULE]})
    assert [one.name for one in ask("schedules").schedules] == ["nightly"]
    api.json({"schedule": DETAIL})
    ask("schedule", "nightly", next_fires=20, last_fires=0)
    assert api.requests[1].query == [("next", "20"), ("last", "0")]


@pytest.mark.parametrize(
    ("method", "sent"),
    [
        ("pause_schedule", ("POST", "/schedules/nightly/pause")),
        ("resume_schedule", ("POST", "/schedules/nightly/resume")),
        ("delete_schedule", ("DELETE", "/schedules/nightly")),
    ],
)
def test_a_schedule_is_changed(ask: Any, api: Any, method: str, sent: tuple[str, str]) -> None:
    """The answer shows it as it is now."""
    api.json({"schedule": {**DETAIL, "paused": True}})
    assert ask(method, "nightly").paused
    assert (api.requests[0].method, api.requests[0].path) == sent


def test_a_trigger_answers_its_job_and_is_not_sent_twice(ask: Any, api: Any, job: Any) -> None:
    """Where it may have been carried out: each one submits a job."""
    api.json({"job": job()}, 202)
    assert ask("trigger_schedule", "nightly").id == "j1"
    api.problem(504, "outcome-unknown")
    with pytest.raises(UnknownOutcomeError):
        ask("trigger_schedule", "nightly")
    assert len(api.requests) == 2


def test_a_refusal_is_told(ask: Any, api: Any) -> None:
    """With the api's words."""
    api.problem(409, "conflict", "is of the configuration")
    with pytest.raises(RejectedError, match="of the configuration"):
        ask("delete_schedule", "nightly")
    api.problem(429, "queue-full", retry_after="0")
    with pytest.raises((UnavailableError, RejectedError)):
        ask("trigger_schedule", "nightly", options={"retries": 0})


def test_a_name_cannot_leave_its_place_in_the_path(ask: Any, api: Any) -> None:
    """A slash is escaped, and what would be another path is refused."""
    api.json({"schedule": DETAIL})
    ask("schedule", "a/b")
    assert api.requests[0].path == "/schedules/a%2Fb"
    with pytest.raises(InvalidValue):
        ask("schedule", "..")
