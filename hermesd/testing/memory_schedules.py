"""Schedules in memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import trio
from msgspec.structs import replace as changed

from hermesd.core.errors import Unstorable
from hermesd.core.job import Job
from hermesd.core.schedule import (
    Fired,
    FireKind,
    FireRecord,
    Firing,
    FiringAnswer,
    PlannedFire,
    Schedule,
    ScheduleDefinition,
    Source,
    check_delete,
    check_put,
    no_schedule,
)
from hermesd.ports import Clock
from hermesd.stores.insertion import admitted
from hermesd.stores.micros import whole, whole_or_none
from hermesd.testing.memory_contents import Contents


class MemorySchedules:
    """Schedules; see `ports.Schedules`."""

    def __init__(self, contents: Contents, clock: Clock) -> None:
        self._held = contents
        self._clock = clock
        self._schedules: dict[str, Schedule] = {}
        self._fires: dict[str, dict[float, FireRecord]] = {}

    async def put(
        self,
        name: str,
        definition: ScheduleDefinition,
        source: Source,
        *,
        next_at: float | None,
        replace: bool,
        expected: Collection[str] | None = None,
    ) -> Schedule:
        """The schedule as it is kept."""
        await trio.lowlevel.checkpoint()
        known, now = self._schedules.get(name), self._now()
        check_put(known, name, source, replace=replace, expected=expected)
        fresh = Schedule(
            name=name,
            definition=definition,
            source=source,
            paused=known is not None and known.paused,
            revision=1 if known is None else known.revision + 1,
            created_at=now if known is None else known.created_at,
            updated_at=now,
            next_at=None if known is not None and known.paused else whole_or_none(next_at),
        )
        return self._keep(fresh)

    async def pause(
        self, name: str, revision: int, *, paused: bool, next_at: float | None
    ) -> Schedule | None:
        """The schedule as it is kept, or None."""
        await trio.lowlevel.checkpoint()
        known = self._schedules.get(name)
        if known is None or known.revision != revision:
            return None
        return self._keep(
            changed(
                known,
                paused=paused,
                next_at=whole_or_none(next_at),
                revision=revision + 1,
                updated_at=self._now(),
            )
        )

    async def delete(
        self, name: str, source: Source, *, expected: Collection[str] | None = None
    ) -> None:
        """With what is known of its fires."""
        await trio.lowlevel.checkpoint()
        check_delete(self._schedules.get(name), name, source, expected)
        del self._schedules[name]
        self._fires.pop(name, None)

    async def get(self, name: str) -> Schedule | None:
        """One, or None."""
        await trio.lowlevel.checkpoint()
        known = self._schedules.get(name)
        return None if known is None else self._shown(known)

    async def all(self, limit: int) -> Sequence[Schedule]:
        """By name."""
        await trio.lowlevel.checkpoint()
        return [self._shown(self._schedules[name]) for name in sorted(self._schedules)][:limit]

    async def due(self, limit: int) -> Sequence[Schedule]:
        """The longest due first."""
        await trio.lowlevel.checkpoint()
        now = self._now()
        found = [s for s in self._schedules.values() if s.next_at is not None and s.next_at <= now]
        return [self._shown(s) for s in sorted(found, key=lambda s: s.next_at or 0.0)][:limit]

    async def next_at(self) -> float | None:
        """UTC seconds, or None."""
        await trio.lowlevel.checkpoint()
        times = [s.next_at for s in self._schedules.values() if s.next_at is not None]
        return min(times, default=None)

    async def fire(self, firing: Firing) -> FiringAnswer:
        """What became of each fire."""
        await trio.lowlevel.checkpoint()
        known = self._schedules.get(firing.schedule)
        if any(fire.job is not None and fire.job.id in self._held.jobs for fire in firing.fires):
            raise Unstorable("a job of this id exists")
        if firing.revision is None:
            if known is None:
                raise no_schedule(firing.schedule)
        else:
            if known is None or (known.revision, known.next_at) != (
                firing.revision,
                whole_or_none(firing.expected),
            ):
                return FiringAnswer(done=False)
            self._keep(changed(known, next_at=whole_or_none(firing.next_at)))
        fires = tuple(self._record(firing.schedule, fire) for fire in firing.fires)
        return FiringAnswer(done=True, fires=fires)

    async def fires(self, name: str, limit: int) -> Sequence[FireRecord]:
        """The newest first."""
        await trio.lowlevel.checkpoint()
        known = self._fires.get(name, {})
        return [known[time] for time in sorted(known, reverse=True)][:limit]

    async def prune(self, name: str, *, before: float, keep: int) -> int:
        """How many were forgotten."""
        await trio.lowlevel.checkpoint()
        known = self._fires.get(name, {})
        newest = sorted(known, reverse=True)
        with_job = [time for time in newest if known[time].job_id is not None]
        cutoff = min([before, *newest[keep - 1 : keep], *with_job[:1]])
        old = [time for time in newest if time < cutoff]
        for time in old:
            del known[time]
        return len(old)

    def _record(self, schedule: str, fire: PlannedFire) -> Fired:
        known, time = self._fires.setdefault(schedule, {}), whole(fire.time)
        kind, job = fire.kind, fire.job
        if job is not None and fire.alone and self._last_lives(schedule):
            kind, job = FireKind.OVERLAPPED, None
        if time in known:
            return Fired(time=fire.time, kind=None)
        now = self._now()
        job_id = None if job is None else job.id
        known[time] = FireRecord(time=time, kind=kind, job_id=job_id, created_at=now)
        return Fired(time=fire.time, kind=kind, job=job and self._insert(job, now))

    def _insert(self, job: Job, at: float) -> Job:
        stored = admitted(job, at)
        self._held.jobs[stored.id] = stored
        self._held.enter(stored, at)
        return stored

    def _last_lives(self, schedule: str) -> bool:
        known = self._fires.get(schedule, {})
        times = [time for time in known if known[time].job_id is not None]
        if not times:
            return False
        job = self._held.jobs.get(known[max(times)].job_id or "")
        return job is not None and not job.state.terminal

    def _keep(self, schedule: Schedule) -> Schedule:
        self._schedules[schedule.name] = schedule
        return self._shown(schedule)

    def _shown(self, schedule: Schedule) -> Schedule:
        return changed(schedule, oldest_fire=min(self._fires.get(schedule.name, {}), default=None))

    def _now(self) -> float:
        return whole(self._clock.utc())
