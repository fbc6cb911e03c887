"""Incarnations and types in memory."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from msgspec.structs import replace

from hermesd.core.fleet import Incarnation
from hermesd.core.jobtype import JobType
from hermesd.core.records import KnownType
from hermesd.core.states import State
from hermesd.ports import Clock
from hermesd.stores.micros import whole
from hermesd.testing.memory_contents import Contents


class MemoryFleet:
    """Fleet; see `ports.Fleet`."""

    def __init__(self, contents: Contents, clock: Clock) -> None:
        self._held = contents
        self._clock = clock

    async def store_id(self) -> str:
        """The identity of this store."""
        await trio.lowlevel.checkpoint()
        return self._held.store_id

    async def register(self, incarnation: Incarnation) -> bool:
        """False where it is fenced."""
        await trio.lowlevel.checkpoint()
        known = self._held.incarnations.get(incarnation.incarnation)
        if known is not None and known.fenced:
            return False
        seen = max(self._now(), known.last_seen if known else 0.0)
        fresh = replace(incarnation, last_seen=seen, fenced=False)
        self._held.incarnations[incarnation.incarnation] = fresh
        return True

    async def heard(self, incarnations: Sequence[str]) -> Sequence[bool]:
        """False for each that is fenced or absent."""
        await trio.lowlevel.checkpoint()
        return [self._hear(name) for name in incarnations]

    def _hear(self, name: str) -> bool:
        if not self._held.is_living(name):
            return False
        known = self._held.incarnations[name]
        seen = max(self._now(), known.last_seen)
        self._held.incarnations[name] = replace(known, last_seen=seen)
        return True

    async def fence(self, incarnation: str, *, silent_for_seconds: float | None) -> bool:
        """True if it was fenced by this call."""
        await trio.lowlevel.checkpoint()
        if not self._held.is_living(incarnation):
            return False
        known = self._held.incarnations[incarnation]
        if silent_for_seconds is not None and not self._silent(known, silent_for_seconds):
            return False
        self._held.incarnations[incarnation] = replace(known, fenced=True)
        return True

    async def living(self) -> Sequence[Incarnation]:
        """All that are not fenced."""
        await trio.lowlevel.checkpoint()
        return [one for _, one in sorted(self._held.incarnations.items()) if not one.fenced]

    async def count_as_heard(self) -> None:
        """All living ones were heard just now."""
        await trio.lowlevel.checkpoint()
        for name, known in list(self._held.incarnations.items()):
            if not known.fenced:
                self._held.incarnations[name] = replace(known, last_seen=self._now())

    async def forget(self, silent_for_seconds: float) -> int:
        """How many fenced ones were dropped."""
        await trio.lowlevel.checkpoint()
        jobs = self._held.jobs.values()
        busy = {job.incarnation for job in jobs if job.state is State.RUNNING}
        old = [
            name
            for name, known in self._held.incarnations.items()
            if known.fenced and name not in busy and self._silent(known, silent_for_seconds)
        ]
        for name in old:
            del self._held.incarnations[name]
        return len(old)

    def _silent(self, known: Incarnation, seconds: float) -> bool:
        return known.last_seen <= whole(self._now() - seconds)

    def _now(self) -> float:
        return whole(self._clock.utc())


class MemoryTypes:
    """TypeCatalogue; see `ports.TypeCatalogue`."""

    def __init__(self, contents: Contents, clock: Clock) -> None:
        self._held = contents
        self._clock = clock

    async def learn(self, types: Sequence[JobType], source: str) -> None:
        """Add or renew."""
        await trio.lowlevel.checkpoint()
        at = whole(self._clock.utc())
        for one in types:
            self._held.types[one.name] = KnownType(type=one, last_seen=at, source=source)

    async def known(self) -> Sequence[KnownType]:
        """All, by name."""
        await trio.lowlevel.checkpoint()
        return [known for _, known in sorted(self._held.types.items())]
