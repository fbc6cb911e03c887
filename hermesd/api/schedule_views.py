"""Schedules as clients see them, and the bodies that they send; see `views` for the conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any

from hermesd.api.present import rfc3339, time_or_none
from hermesd.api.views import AnyJson, Time, View
from hermesd.core.errors import InvalidValue
from hermesd.core.schedule import (
    FireKind,
    FireRecord,
    Misfire,
    Overlap,
    Schedule,
    ScheduleDefinition,
    ScheduleTerms,
    Source,
)
from hermesd.cron import timetable


class NewSchedule(ScheduleDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule to be made; all but `name`, `cron` and `type` has defaults."""

    name: str

    @property
    def definition(self) -> ScheduleDefinition:
        """All but its name."""
        names = ScheduleDefinition.__struct_fields__
        return ScheduleDefinition(**{name: getattr(self, name) for name in names})


class FireView(View, frozen=True, kw_only=True):
    """A fire; `job_id` is null where it has none."""

    time: Time
    kind: FireKind
    job_id: str | None
    recorded_at: Time


class ScheduleView(View, frozen=True, kw_only=True):
    """A schedule; null leaves a value to the type and the configuration.

    `next_fire` is null while it is paused. `etag` is that of its definition, for If-Match.
    """

    name: str
    cron: str
    timezone: str
    type: str
    payload: AnyJson
    queue: str | None
    priority: int | str | None
    max_attempts: int | None
    timeout: float | None
    labels: Mapping[str, str]
    jitter_seconds: float
    misfire: Misfire
    misfire_grace_seconds: float
    catch_up_limit: int
    overlap: Overlap
    description: str
    source: Source
    paused: bool
    revision: int
    etag: str
    created_at: Time
    updated_at: Time
    next_fire: Time | None


class ScheduleDetailView(ScheduleView, frozen=True, kw_only=True):
    """A schedule with its next fires, the soonest first, and its last ones, the newest first."""

    next_fires: Sequence[Time]
    last_fires: Sequence[FireView]


class ScheduleAnswer(View, frozen=True, kw_only=True):
    """A single schedule."""

    schedule: ScheduleDetailView


class ScheduleList(View, frozen=True, kw_only=True):
    """All schedules, by name."""

    count: int
    schedules: Sequence[ScheduleView]


def schedule_list(schedules: Sequence[Schedule]) -> ScheduleList:
    """The answer on all schedules."""
    views = [ScheduleView(**_members(schedule)) for schedule in schedules]
    return ScheduleList(count=len(views), schedules=views)


def schedule_answer(
    schedule: Schedule, fires: Sequence[FireRecord], upcoming: int
) -> ScheduleAnswer:
    """The answer on one schedule, with so many of its next fires."""
    detail = ScheduleDetailView(
        **_members(schedule),
        next_fires=[rfc3339(time) for time in _next_fires(schedule, upcoming)],
        last_fires=[
            FireView(
                time=rfc3339(fire.time),
                kind=fire.kind,
                job_id=fire.job_id,
                recorded_at=rfc3339(fire.created_at),
            )
            for fire in fires
        ],
    )
    return ScheduleAnswer(schedule=detail)


def _members(schedule: Schedule) -> dict[str, Any]:
    definition, terms = schedule.definition, ScheduleTerms.__struct_fields__
    return {name: getattr(definition, name) for name in terms} | {
        "name": schedule.name,
        "payload": definition.payload,
        "source": schedule.source,
        "paused": schedule.paused,
        "revision": schedule.revision,
        "etag": schedule.etag,
        "created_at": rfc3339(schedule.created_at),
        "updated_at": rfc3339(schedule.updated_at),
        "next_fire": time_or_none(schedule.next_at),
    }


def _next_fires(schedule: Schedule, upcoming: int) -> list[float]:
    first, definition = schedule.next_at, schedule.definition
    if first is None:
        return []
    try:
        later = timetable(definition.cron, definition.timezone).fires_after(first)
    except InvalidValue:  # what was a time zone once is none any more
        return [first][:upcoming]
    return list(islice(chain([first], later), upcoming))
