"""From a schedule and a moment to what is fired: the jobs, and when it goes on."""

from __future__ import annotations

import msgspec

from hermesd.api.admission import Admission, JobRequest
from hermesd.api.present import rfc3339
from hermesd.core.errors import Rejected
from hermesd.core.job import Job
from hermesd.core.misfire import DueFires, due_fires
from hermesd.core.schedule import (
    FIRE_TIME_LABEL,
    SCHEDULE_LABEL,
    FireKind,
    Firing,
    Overlap,
    PlannedFire,
    Schedule,
    ScheduleDefinition,
    jitter_of,
)
from hermesd.core.states import State
from hermesd.cron import timetable


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the store is asked for; `refusal` says why jobs could not be made."""

    firing: Firing
    refusal: str = ""


class Firings:
    """Plans fires; the jobs go through the same admission as those of a submit."""

    def __init__(self, admission: Admission):
        self._admission = admission

    def check(self, name: str, definition: ScheduleDefinition, now: float) -> None:
        """Raise what is wrong with a definition, as a submit of its job would."""
        timetable(definition.cron, definition.timezone)
        self._job(name, definition, now, now)

    def due(self, schedule: Schedule, now: float) -> Plan:
        """What a schedule whose next time has come is to fire at `now`."""
        definition, first = schedule.definition, schedule.next_at
        if first is None:
            raise ValueError(f"schedule {schedule.name!r} is not due")
        now = max(now, first)  # the store's clock may be a little ahead
        try:
            table = timetable(definition.cron, definition.timezone)
            found = due_fires(table, definition, first, now)
        except Rejected as error:  # what was a time zone once is none any more
            return Plan(firing=_stop(schedule), refusal=error.detail)
        fires, refusal = self._planned(schedule, found, now)
        return Plan(
            firing=Firing(
                schedule=schedule.name,
                revision=schedule.revision,
                expected=first,
                next_at=found.next_at,
                fires=tuple(fires),
            ),
            refusal=refusal,
        )

    def refused(self, plan: Plan, why: str) -> Plan:
        """The same without jobs, which the store does not take."""
        replace = msgspec.structs.replace
        fires = tuple(
            fire if fire.job is None else replace(fire, kind=FireKind.REFUSED, job=None)
            for fire in plan.firing.fires
        )
        return Plan(firing=replace(plan.firing, fires=fires), refusal=why)

    def by_hand(self, schedule: Schedule, time: float, now: float) -> Firing:
        """A fire that an operator asks for; raises what a submit of its job would."""
        job = self._job(schedule.name, schedule.definition, time, now)
        fire = PlannedFire(time=time, kind=FireKind.TRIGGERED, job=job)
        return Firing(schedule=schedule.name, fires=(fire,))

    def _planned(
        self, schedule: Schedule, found: DueFires, now: float
    ) -> tuple[list[PlannedFire], str]:
        fires, refusal = [], ""
        if found.missed is not None:
            fires.append(PlannedFire(time=found.missed, kind=FireKind.MISSED))
        for time in found.times:
            try:
                job = self._job(schedule.name, schedule.definition, time, now)
            except Rejected as error:
                refusal = error.detail
                fires.append(PlannedFire(time=time, kind=FireKind.REFUSED))
                continue
            alone = schedule.definition.overlap == Overlap.SKIP
            job = _delayed(job, time + self._jitter(schedule, time), now)
            fires.append(PlannedFire(time=time, kind=FireKind.FIRED, job=job, alone=alone))
        return fires, refusal

    def _jitter(self, schedule: Schedule, time: float) -> float:
        return jitter_of(schedule.name, time, schedule.definition.jitter_seconds)

    def _job(self, name: str, definition: ScheduleDefinition, time: float, now: float) -> Job:
        request = JobRequest(
            type=definition.type,
            payload=definition.payload,
            queue=definition.queue,
            priority=definition.priority,
            max_attempts=definition.max_attempts,
            timeout=definition.timeout,
            labels={**definition.labels, SCHEDULE_LABEL: name, FIRE_TIME_LABEL: rfc3339(time)},
        )
        return self._admission.job(request, now)


def _delayed(job: Job, run_at: float, now: float) -> Job:
    if run_at <= now:
        return job
    return msgspec.structs.replace(job, state=State.SCHEDULED, run_at=run_at)


def _stop(schedule: Schedule) -> Firing:
    """No further time until the definition is changed."""
    return Firing(
        schedule=schedule.name, revision=schedule.revision, expected=schedule.next_at, next_at=None
    )
