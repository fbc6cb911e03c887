"""What operators and the configuration do to schedules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from hermesd.api.firing import Firings
from hermesd.api.scheduler import Scheduler
from hermesd.api.state import ApiState
from hermesd.config import ScheduleSection
from hermesd.core.errors import Conflict, Rejected
from hermesd.core.job import Job
from hermesd.core.misfire import next_fire
from hermesd.core.schedule import (
    MAX_SCHEDULES,
    FireRecord,
    Schedule,
    ScheduleDefinition,
    Source,
    by_hand,
    check_schedule_name,
    no_schedule,
)
from hermesd.core.words import Schedules as SchedulesChanged
from hermesd.cron import timetable
from hermesd.ports import Schedules
from hermesd.signal import Signal

_TRIES: Final = 5  # of a change that others make too


class ScheduleBook:
    """Keeps the schedules; whoever fires them is woken at every change."""

    def __init__(
        self,
        state: ApiState,
        schedules: Schedules,
        firings: Firings,
        scheduler: Scheduler,
        changed: Signal,
    ):
        self._state = state
        self._schedules = schedules
        self._firings = firings
        self._scheduler = scheduler
        self._changed = changed

    async def declare(self, sections: Mapping[str, ScheduleSection]) -> None:
        """Make the schedules of the configuration, and delete those that it had and has not.

        One that is as it was keeps its next time, so that what was missed meanwhile is known.
        """
        known = {one.name: one for one in await self._schedules.all(2 * MAX_SCHEDULES)}
        for name, section in sections.items():
            await self._declare(name, section.definition, known.get(name))
        for name, schedule in known.items():
            if schedule.source is Source.CONFIG and name not in sections:
                await self._schedules.delete(name, Source.CONFIG)
                self._state.log.info("schedule deleted", schedule=name, why="not in the config")
        self._tell_changed()

    async def all(self) -> Sequence[Schedule]:
        """By name."""
        return await self._schedules.all(2 * MAX_SCHEDULES)

    async def get(self, name: str) -> Schedule:
        """One; raises NotFound."""
        found = await self._schedules.get(name)
        if found is None:
            raise no_schedule(name)
        return found

    async def fires(self, name: str, limit: int) -> Sequence[FireRecord]:
        """The newest first."""
        return await self._schedules.fires(name, limit)

    async def create(self, name: str, definition: ScheduleDefinition) -> Schedule:
        """A new one; raises Conflict where there is one, and what a submit of its job would."""
        return await self._put(name, definition, replace=False)

    async def replace(
        self, name: str, definition: ScheduleDefinition, expected: Collection[str] | None = None
    ) -> Schedule:
        """A new or changed one (revision 1: new); raises Conflict for one of the configuration.

        ChangedMeanwhile where it has none of the `expected` etags (None: there may be none at all).
        """
        return await self._put(name, definition, replace=True, expected=expected)

    async def delete(self, name: str, expected: Collection[str] | None = None) -> None:
        """Its jobs stay; raises NotFound, and as `replace` does."""
        await self._schedules.delete(name, Source.API, expected=expected)
        self._tell_changed()

    async def pause(self, name: str) -> Schedule:
        """Nothing is fired until it is resumed, and nothing of that time is made up for."""
        return await self._set_paused(name, paused=True)

    async def resume(self, name: str) -> Schedule:
        """It fires at the next of its times from now on."""
        return await self._set_paused(name, paused=False)

    async def trigger(self, name: str) -> Job:
        """Fire now, whether it is paused or its last job lives; its own times stay."""
        schedule, now = await self.get(name), self._state.clock.utc()
        job = await self._scheduler.fire_now(self._firings.by_hand(schedule, by_hand(now), now))
        self._state.log.info("schedule triggered", schedule=name, job_id=job.id)
        return job

    async def _put(
        self,
        name: str,
        definition: ScheduleDefinition,
        *,
        replace: bool,
        expected: Collection[str] | None = None,
    ) -> Schedule:
        now = self._state.clock.utc()
        self._firings.check(check_schedule_name(name), definition, now)
        if len(await self._schedules.all(MAX_SCHEDULES)) >= MAX_SCHEDULES and not (
            await self._schedules.get(name)
        ):
            raise Conflict(f"there are {MAX_SCHEDULES} schedules, which is as many as may be")
        stored = await self._schedules.put(
            name,
            definition,
            Source.API,
            next_at=_next(definition, now),
            replace=replace,
            expected=expected,
        )
        self._state.log.info("schedule stored", schedule=name, revision=stored.revision)
        self._tell_changed()
        return stored

    async def _set_paused(self, name: str, *, paused: bool) -> Schedule:
        for _ in range(_TRIES):
            schedule = await self.get(name)
            if schedule.paused is paused:
                return schedule
            next_at = None if paused else _next(schedule.definition, self._state.clock.utc())
            done = await self._schedules.pause(
                name, schedule.revision, paused=paused, next_at=next_at
            )
            if done is not None:
                told = "schedule paused" if paused else "schedule resumed"
                self._state.log.info(told, schedule=name)
                self._tell_changed()
                return done
        raise Conflict(f"schedule {name!r} is being changed by somebody else; try again")

    async def _declare(
        self, name: str, definition: ScheduleDefinition, known: Schedule | None
    ) -> None:
        now = self._state.clock.utc()
        try:
            self._firings.check(name, definition, now)
        except Rejected as error:
            # Its type may come with a worker that has not registered yet.
            self._state.log.warning("schedule cannot fire yet", schedule=name, why=error.detail)
        if known is not None and known.source is Source.CONFIG:
            stopped = known.next_at is None and not known.paused
            if known.definition == definition and not stopped:
                return
        elif known is not None:
            self._state.log.warning("schedule taken over by the config", schedule=name)
        await self._schedules.put(
            name, definition, Source.CONFIG, next_at=_next(definition, now), replace=True
        )
        self._state.log.info("schedule stored", schedule=name, source="config")

    def _tell_changed(self) -> None:
        self._changed.set()
        self._state.bus.tell(SchedulesChanged())


def _next(definition: ScheduleDefinition, now: float) -> float | None:
    return next_fire(timetable(definition.cron, definition.timezone), now)
