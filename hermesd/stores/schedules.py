"""The Schedules port: orders through the group commit, reads in threads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from hermesd.core.schedule import (
    FireRecord,
    Firing,
    FiringAnswer,
    Schedule,
    ScheduleDefinition,
    Source,
)
from hermesd.stores import schedule_orders as orders
from hermesd.stores import schedule_rows as rows
from hermesd.stores.backend import Verb
from hermesd.stores.micros import micros
from hermesd.stores.questions import Reads
from hermesd.stores.schedule_orders import Order
from hermesd.stores.schedule_rows import Execute
from hermesd.stores.writes import Writes

T = TypeVar("T")


class StoredSchedules:
    """Schedules; see `ports.Schedules`. `executing` makes of a reading connection an Execute."""

    def __init__(self, writes: Writes, reads: Reads, executing: Callable[[Any], Execute]) -> None:
        self._writes = writes
        self._reads = reads
        self._executing = executing

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
        """The schedule as it is stored."""
        order = orders.Put(
            name=name,
            definition=definition,
            source=source,
            next_at=next_at,
            replace=replace,
            expected=expected,
        )
        stored: Schedule = await self._do(order)
        return stored

    async def pause(
        self, name: str, revision: int, *, paused: bool, next_at: float | None
    ) -> Schedule | None:
        """The schedule as it is stored, or None."""
        order = orders.Pause(name=name, revision=revision, paused=paused, next_at=next_at)
        changed: Schedule | None = await self._do(order)
        return changed

    async def delete(
        self, name: str, source: Source, *, expected: Collection[str] | None = None
    ) -> None:
        """With what is known of its fires."""
        await self._do(orders.Delete(name=name, source=source, expected=expected))

    async def get(self, name: str) -> Schedule | None:
        """One, or None."""
        return await self._ask(lambda execute: rows.one(execute, name))

    async def all(self, limit: int) -> Sequence[Schedule]:
        """By name."""
        return await self._ask(lambda ask: rows.schedules(ask, rows.ALL, (limit,)))

    async def due(self, limit: int) -> Sequence[Schedule]:
        """The longest due first."""
        values = (micros(self._writes.now()), limit)
        return await self._ask(lambda ask: rows.schedules(ask, rows.DUE, values))

    async def next_at(self) -> float | None:
        """UTC seconds, or None."""
        return await self._ask(rows.next_at)

    async def fire(self, firing: Firing) -> FiringAnswer:
        """What became of each fire."""
        answer: FiringAnswer = await self._do(firing, rows=1 + 2 * len(firing.fires))
        return answer

    async def fires(self, name: str, limit: int) -> Sequence[FireRecord]:
        """The newest first."""
        return await self._ask(lambda execute: rows.fires(execute, name, limit))

    async def prune(self, name: str, *, before: float, keep: int) -> int:
        """How many were forgotten; ask again until there are none."""
        count: int = await self._do(orders.Prune(name=name, before=before, keep=keep))
        return count

    async def _do(self, order: Order, *, rows: int = 1) -> Any:
        (answer,) = await self._writes.do(Verb.SCHEDULE, (order,), rows=rows)
        return answer

    async def _ask(self, query: Callable[[Execute], T]) -> T:
        return await self._reads.run(lambda connection: query(self._executing(connection)))
