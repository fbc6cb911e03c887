"""The apis of a store in memory."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from msgspec.structs import replace

from hermesd.core.apis import ApiLife
from hermesd.core.states import State
from hermesd.ports import Clock
from hermesd.stores.micros import micros, seconds
from hermesd.testing.memory_contents import Contents


class MemoryApis:
    """Apis; see `ports.Apis`."""

    def __init__(self, contents: Contents, clock: Clock) -> None:
        self._held = contents
        self._clock = clock

    async def renew(self, life: ApiLife) -> bool:
        """True if it was known."""
        await trio.lowlevel.checkpoint()
        before = self._held.apis.get(life.name)
        known = before is not None and before.boot == life.boot
        now_us = micros(self._clock.utc())
        if before is not None and known:
            now_us = max(now_us, micros(before.last_seen) + 1)
        self._held.apis[life.name] = replace(life, last_seen=seconds(now_us))
        return known

    async def dismiss(self, life: ApiLife) -> bool:
        """True if that was done now."""
        await trio.lowlevel.checkpoint()
        found = self._held.apis.get(life.name)
        same = found is not None and (found.boot, found.last_seen) == (life.boot, life.last_seen)
        if same:
            del self._held.apis[life.name]
        return same

    async def retire(self, life: ApiLife) -> None:
        """It has ended by itself."""
        await trio.lowlevel.checkpoint()
        found = self._held.apis.get(life.name)
        if found is not None and found.boot == life.boot:
            del self._held.apis[life.name]

    async def adopt(self, by: str, incarnations: Sequence[str], limit: int) -> Sequence[str]:
        """The ids of the jobs taken over."""
        await trio.lowlevel.checkpoint()
        jobs = self._held.jobs
        nobodys = [
            job
            for job in jobs.values()
            if job.state is State.RUNNING
            and job.assigned_by not in self._held.apis
            and job.incarnation in incarnations
        ]
        for job in nobodys[:limit]:
            jobs[job.id] = replace(job, assigned_by=by)
        return sorted(job.id for job in nobodys[:limit])

    async def disown(self, by: str, incarnation: str) -> None:
        """Its jobs are nobody's."""
        await trio.lowlevel.checkpoint()
        for job in list(self._held.jobs.values()):
            if job.state is State.RUNNING and (job.assigned_by, job.incarnation) == (
                by,
                incarnation,
            ):
                self._held.jobs[job.id] = replace(job, assigned_by="")

    async def lives(self) -> Sequence[ApiLife]:
        """By name."""
        await trio.lowlevel.checkpoint()
        return [life for _, life in sorted(self._held.apis.items())]

    async def held_by(self, incarnation: str) -> Sequence[str]:
        """By id."""
        await trio.lowlevel.checkpoint()
        jobs = self._held.jobs.values()
        return sorted(
            job.id for job in jobs if (job.state, job.incarnation) == (State.RUNNING, incarnation)
        )
