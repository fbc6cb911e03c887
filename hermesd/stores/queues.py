"""The Queues port: orders through the group commit, reads in threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from hermesd.core.orders import QueuePause
from hermesd.core.words import Place
from hermesd.stores import queue_rows as rows
from hermesd.stores.api_rows import Execute
from hermesd.stores.backend import Verb
from hermesd.stores.questions import Reads
from hermesd.stores.writes import Writes

T = TypeVar("T")


class StoredQueues:
    """Queues; see `ports.Queues`. `executing` makes of a reading connection an Execute."""

    def __init__(self, writes: Writes, reads: Reads, executing: Callable[[Any], Execute]) -> None:
        self._writes = writes
        self._reads = reads
        self._executing = executing

    async def pause(self, queue: str, *, reason: str, by: str) -> QueuePause:
        """The pause as it is stored."""
        pause: QueuePause = await self._do(rows.Pause(queue, reason, by))
        return pause

    async def resume(self, queue: str) -> bool:
        """True if it was paused."""
        return bool(await self._do(rows.Resume(queue)))

    async def paused(self) -> Sequence[QueuePause]:
        """By name."""
        return await self._ask(rows.paused)

    async def running(self) -> Mapping[str, int]:
        """By queue."""
        return await self._ask(rows.running)

    async def oldest(self, places: Sequence[Place]) -> Mapping[Place, float]:
        """By place, in UTC seconds."""
        return await self._ask(lambda execute: rows.oldest(execute, places))

    async def _do(self, order: rows.Order) -> Any:
        (answer,) = await self._writes.do(Verb.QUEUE, (order,))
        return answer

    async def _ask(self, query: Callable[[Execute], T]) -> T:
        return await self._reads.run(lambda connection: query(self._executing(connection)))
