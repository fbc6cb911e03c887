"""The jobs that an order names by their ids, to be walked over as those that fit a filter are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from hermesd.core.errors import InvalidValue
from hermesd.core.records import JobFilter
from hermesd.core.searches import Reach, Walked
from hermesd.ports import JobReader

MAX_IDS: Final = 10_000
MAX_ID_CHARS: Final = 100


class Walkable(Protocol):
    """Where the jobs of an order are looked for; see ports.JobReader."""

    async def walk(self, wanted: JobFilter, reach: Reach) -> Walked:
        """Those that fit within the reach, and where to go on."""


class Named:
    """Jobs by their ids, each once and in order; raises InvalidValue for what cannot be ids."""

    def __init__(self, reader: JobReader, ids: Sequence[str]) -> None:
        if len(ids) > MAX_IDS:
            raise InvalidValue(f"at most {MAX_IDS} ids can be named at once")
        for place, each in enumerate(ids):
            if len(each) > MAX_ID_CHARS or not (each.isascii() and each.isprintable()):
                raise InvalidValue(f"ids[{place}] is not the id of a job")
        self._reader = reader
        self._ids = sorted(set(ids))

    async def walk(self, wanted: JobFilter, reach: Reach) -> Walked:
        """Those that fit among the next of them."""
        first = bisect_left(self._ids, reach.start)
        last = first + reach.rows
        these, further = self._ids[first:last], self._ids[last : last + 1]
        if not these:
            return Walked(jobs=())
        found = await self._reader.walk(
            replace(wanted, ids=tuple(these)), replace(reach, start=these[0], until=these[-1])
        )
        return Walked(jobs=found.jobs, next_start=further[0] if further else None)

    def between(self, start: str, end: str | None) -> int:
        """How many of the ids lie from `start` on before `end` (None: to the last one)."""
        last = len(self._ids) if end is None else bisect_left(self._ids, end)
        return last - bisect_left(self._ids, start)
