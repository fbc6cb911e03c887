"""The group commit with the store's clock: what the ports of every store write through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hermesd.core.errors import StoreUnavailable
from hermesd.stores.backend import Verb
from hermesd.stores.group import GroupCommit
from hermesd.stores.micros import whole
from hermesd.stores.questions import FleetQuestions, Reads


class Writes:
    """`utc` is the store's clock, in seconds; answers that are errors are raised."""

    def __init__(self, group: GroupCommit, utc: Callable[[], float]) -> None:
        self._group = group
        self._utc = utc

    async def do(
        self, verb: Verb, items: Sequence[Any], *, rows: int = 0, whole_call: bool = False
    ) -> list[Any]:
        """One answer an item; raises the first that is an error."""
        if not items:
            return []
        answers = await self._group.do(verb, items, self.now(), rows=rows, whole=whole_call)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def answers(self, verb: Verb, items: Sequence[Any]) -> list[Any]:
        """One answer an item, errors among them."""
        return await self._group.do(verb, items, self.now()) if items else []

    def now(self) -> float:
        """The store's time, in UTC seconds to the microsecond."""
        return whole(self._utc())


async def check(writes: Writes, reads: Reads, ask: FleetQuestions) -> None:
    """Raise StoreUnavailable unless the store can be written and read now."""
    await writes.do(Verb.TOUCH, (None,))
    if await reads.run(ask.store_id) is None:
        raise StoreUnavailable("the store has lost its identity")
