"""The Points port: minutes through the group commit, reads in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hermesd.core.points import KeptPoint
from hermesd.stores import point_rows as rows
from hermesd.stores.backend import Verb
from hermesd.stores.point_rows import Execute
from hermesd.stores.questions import Reads
from hermesd.stores.writes import Writes


class StoredPoints:
    """Points; see `ports.Points`. `executing` makes of a reading connection an Execute."""

    def __init__(self, writes: Writes, reads: Reads, executing: Callable[[Any], Execute]) -> None:
        self._writes = writes
        self._reads = reads
        self._executing = executing

    async def keep(self, points: Sequence[KeptPoint], *, forget_before: int) -> None:
        """In one transaction."""
        await self._writes.do(Verb.POINT, (rows.Keep(tuple(points), forget_before),))

    async def between(self, begin: int, end: int) -> Sequence[KeptPoint]:
        """By their time."""
        return await self._reads.run(
            lambda connection: rows.between(self._executing(connection), begin, end)
        )
