"""The Apis port: orders through the group commit, reads in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hermesd.core.apis import ApiLife
from hermesd.stores import api_rows as rows
from hermesd.stores.api_rows import Execute
from hermesd.stores.backend import Verb
from hermesd.stores.questions import Reads
from hermesd.stores.writes import Writes


class StoredApis:
    """Apis; see `ports.Apis`. `executing` makes of a reading connection an Execute."""

    def __init__(self, writes: Writes, reads: Reads, executing: Callable[[Any], Execute]) -> None:
        self._writes = writes
        self._reads = reads
        self._executing = executing

    async def renew(self, life: ApiLife) -> bool:
        """True if it was known."""
        return bool(await self._do(rows.Renew(life)))

    async def dismiss(self, life: ApiLife) -> bool:
        """True if that was done now."""
        return bool(await self._do(rows.Dismiss(life)))

    async def retire(self, life: ApiLife) -> None:
        """It has ended by itself."""
        await self._do(rows.Retire(life))

    async def adopt(self, by: str, incarnations: Sequence[str], limit: int) -> Sequence[str]:
        """The ids of the jobs taken over."""
        found: Sequence[str] = await self._do(rows.Adopt(by, tuple(incarnations), limit))
        return found

    async def disown(self, by: str, incarnation: str) -> None:
        """Its jobs are nobody's."""
        await self._do(rows.Disown(by, incarnation))

    async def lives(self) -> Sequence[ApiLife]:
        """By name."""
        return await self._reads.run(lambda connection: rows.lives(self._executing(connection)))

    async def held_by(self, incarnation: str) -> Sequence[str]:
        """By id."""
        return await self._reads.run(
            lambda connection: rows.held_by(self._executing(connection), incarnation)
        )

    async def _do(self, order: rows.Order) -> Any:
        (answer,) = await self._writes.do(Verb.API, (order,))
        return answer
