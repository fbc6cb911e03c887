"""The schedules in the store, and their fires."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from hermesd.core.schedule import (
    FireRecord,
    Firing,
    FiringAnswer,
    Schedule,
    ScheduleDefinition,
    Source,
)


class Schedules(Protocol):
    """Schedules and their fires; a fire is unique by (schedule, time). Times are UTC seconds."""

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
        """Create a schedule or `replace` its definition; a paused one stays so, without next time.

        Raises Conflict and ChangedMeanwhile as `core.schedule.check_put` does, by what is stored in
        the moment of the change.
        """

    async def pause(
        self, name: str, revision: int, *, paused: bool, next_at: float | None
    ) -> Schedule | None:
        """Pause it, or let it go on with `next_at`; None: it is not at that revision any more."""

    async def delete(
        self, name: str, source: Source, *, expected: Collection[str] | None = None
    ) -> None:
        """Delete it with its fires, not their jobs; raises as `core.schedule.check_delete` does."""

    async def get(self, name: str) -> Schedule | None:
        """One schedule, or None."""

    async def all(self, limit: int) -> Sequence[Schedule]:
        """All of them by name, up to `limit`."""

    async def due(self, limit: int) -> Sequence[Schedule]:
        """Those whose next time has come by the store's clock, the longest due first."""

    async def next_at(self) -> float | None:
        """The earliest next time of all, None where there is none."""

    async def fire(self, firing: Firing) -> FiringAnswer:
        """Record fires with their jobs and move the schedule on, all or nothing of it.

        A fire that is recorded already is left alone, and its job is not inserted. Raises NotFound
        for a fire by hand of a schedule that is not there.
        """

    async def fires(self, name: str, limit: int) -> Sequence[FireRecord]:
        """The newest fires of a schedule, the newest first."""

    async def prune(self, name: str, *, before: float, keep: int) -> int:
        """Forget some fires from before then, the oldest first; how many: 0 when all are gone.

        The `keep` newest stay (1 or more), and all since the last one that has a job.
        """
