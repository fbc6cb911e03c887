"""Every call about schedules, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict
from urllib.parse import quote

import msgspec

from hermesd.client.answers import Answer, JobAnswer
from hermesd.client.calls import Call
from hermesd.client.encoding import json_body
from hermesd.core.errors import InvalidValue

_EMPTY = msgspec.Raw(b"{}")


class ScheduleOptions(TypedDict, total=False):
    """What a schedule may say beside cron, type and payload; the rest has the api's defaults.

    `timezone` is an IANA name; `misfire` is skip, run-once or catch-up; `overlap` allow or skip;
    all but the last six go to each job as in a submit.
    """

    timezone: str | None
    queue: str | None
    priority: int | str | None
    max_attempts: int | None
    timeout: float | None
    labels: Mapping[str, str] | None
    jitter_seconds: float | None
    misfire: str | None
    misfire_grace_seconds: float | None
    catch_up_limit: int | None
    overlap: str | None
    description: str | None


class FireView(Answer, frozen=True, kw_only=True):
    """A fire; `kind` is fired, triggered, overlapped, missed or refused."""

    time: datetime
    kind: str
    job_id: str | None = None
    recorded_at: datetime | None = None


class ScheduleView(Answer, frozen=True, kw_only=True):
    """One schedule. `raw_payload` is its JSON text; the fires are empty in a list of schedules.

    `etag` is of its definition, and another one once that has been changed.
    """

    name: str
    cron: str
    type: str
    timezone: str = "UTC"
    queue: str | None = None
    priority: int | str | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    jitter_seconds: float = 0.0
    misfire: str = ""
    misfire_grace_seconds: float = 0.0
    catch_up_limit: int = 0
    overlap: str = ""
    description: str = ""
    source: str = ""
    paused: bool = False
    revision: int = 1
    etag: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    next_fire: datetime | None = None
    next_fires: tuple[datetime, ...] = ()
    last_fires: tuple[FireView, ...] = ()
    raw_payload: msgspec.Raw = msgspec.field(default=_EMPTY, name="payload")

    @property
    def payload(self) -> Any:
        """The payload, decoded."""
        return msgspec.json.decode(self.raw_payload)


class ScheduleAnswer(Answer, frozen=True, kw_only=True):
    """The envelope of one schedule."""

    schedule: ScheduleView


class ScheduleList(Answer, frozen=True, kw_only=True):
    """All schedules, by name."""

    schedules: tuple[ScheduleView, ...]
    count: int = 0


def schedules() -> Call[ScheduleList]:
    """GET /schedules."""
    return Call(method="GET", path="/schedules", answer=ScheduleList)


def schedule(
    name: str, *, next_fires: int | None = None, last_fires: int | None = None
) -> Call[ScheduleAnswer]:
    """GET /schedules/{name} with so many of its fires (at most 100 each)."""
    given = (("next", next_fires), ("last", last_fires))
    return Call(
        method="GET",
        path=_path(name),
        answer=ScheduleAnswer,
        query=tuple((key, str(value)) for key, value in given if value is not None),
    )


def make(
    name: str, cron: str, job_type: str, payload: object, options: ScheduleOptions
) -> Call[ScheduleAnswer]:
    """POST /schedules: not repeatable, the second one would be told that there is one."""
    body = {"name": name, **_definition(cron, job_type, payload, options)}
    return Call(
        method="POST",
        path="/schedules",
        answer=ScheduleAnswer,
        body=json_body(body),
        repeatable=False,
    )


def put(
    name: str,
    cron: str,
    job_type: str,
    payload: object,
    options: ScheduleOptions,
    if_match: str | None = None,
) -> Call[ScheduleAnswer]:
    """PUT /schedules/{name}: makes it, or replaces all of its definition.

    With `if_match` not repeatable: the second one would be told that it was changed meanwhile.
    """
    return Call(
        method="PUT",
        path=_path(name),
        answer=ScheduleAnswer,
        body=json_body(_definition(cron, job_type, payload, options)),
        headers=_condition(if_match),
        repeatable=if_match is None,
    )


def delete(name: str, if_match: str | None = None) -> Call[ScheduleAnswer]:
    """DELETE /schedules/{name}: not repeatable, the second one would be told that it is gone."""
    return Call(
        method="DELETE",
        path=_path(name),
        answer=ScheduleAnswer,
        headers=_condition(if_match),
        repeatable=False,
    )


def pause(name: str) -> Call[ScheduleAnswer]:
    """POST /schedules/{name}/pause."""
    return Call(method="POST", path=_path(name) + "/pause", answer=ScheduleAnswer)


def resume(name: str) -> Call[ScheduleAnswer]:
    """POST /schedules/{name}/resume."""
    return Call(method="POST", path=_path(name) + "/resume", answer=ScheduleAnswer)


def trigger(name: str) -> Call[JobAnswer]:
    """POST /schedules/{name}/trigger: not repeatable, each one submits a job."""
    return Call(method="POST", path=_path(name) + "/trigger", answer=JobAnswer, repeatable=False)


def _condition(if_match: str | None) -> dict[str, str]:
    return {} if if_match is None else {"If-Match": if_match}


def _definition(
    cron: str, job_type: str, payload: object, options: ScheduleOptions
) -> dict[str, object]:
    body: dict[str, object] = {"cron": cron, "type": job_type}
    if payload is not msgspec.UNSET:
        body["payload"] = payload
    return body | {name: value for name, value in options.items() if value is not None}


def _path(name: str) -> str:
    if not name or name in (".", ".."):
        raise InvalidValue(f"{name!r} is no schedule's name")
    return "/schedules/" + quote(name, safe="")
