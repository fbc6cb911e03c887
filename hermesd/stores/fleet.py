"""The Fleet and TypeCatalogue ports: writes through the group commit, reads in threads."""

from __future__ import annotations

from collections.abc import Sequence

from hermesd.core.fleet import Incarnation
from hermesd.core.jobtype import JobType
from hermesd.core.records import KnownType
from hermesd.stores.backend import Verb
from hermesd.stores.micros import micros
from hermesd.stores.questions import FleetQuestions, Reads
from hermesd.stores.writes import Writes


class StoredFleet:
    """Fleet; see `ports.Fleet` for the contract of each method."""

    def __init__(self, writes: Writes, reads: Reads, ask: FleetQuestions, store_id: str) -> None:
        self._writes = writes
        self._reads = reads
        self._ask = ask
        self._store_id = store_id

    async def store_id(self) -> str:
        """The identity of this store."""
        return self._store_id

    async def register(self, incarnation: Incarnation) -> bool:
        """False where it is fenced."""
        (living,) = await self._writes.do(Verb.REGISTER, (incarnation,))
        return bool(living)

    async def heard(self, incarnations: Sequence[str]) -> Sequence[bool]:
        """False for each that is fenced or absent."""
        return await self._writes.do(Verb.HEARD, incarnations)

    async def fence(self, incarnation: str, *, silent_for_seconds: float | None) -> bool:
        """True if it was fenced by this call."""
        silent_us = None if silent_for_seconds is None else micros(silent_for_seconds)
        (done,) = await self._writes.do(Verb.FENCE, ((incarnation, silent_us),))
        return bool(done)

    async def living(self) -> Sequence[Incarnation]:
        """All that are not fenced."""
        return await self._reads.run(self._ask.living)

    async def count_as_heard(self) -> None:
        """All living ones were heard just now."""
        await self._writes.do(Verb.COUNT_AS_HEARD, (None,))

    async def forget(self, silent_for_seconds: float) -> int:
        """How many fenced ones were dropped."""
        (count,) = await self._writes.do(Verb.FORGET, (micros(silent_for_seconds),))
        return int(count)


class StoredTypes:
    """TypeCatalogue; see `ports.TypeCatalogue`."""

    def __init__(self, writes: Writes, reads: Reads, ask: FleetQuestions) -> None:
        self._writes = writes
        self._reads = reads
        self._ask = ask

    async def learn(self, types: Sequence[JobType], source: str) -> None:
        """Add or renew."""
        await self._writes.do(Verb.LEARN, [(job_type, source) for job_type in types])

    async def known(self) -> Sequence[KnownType]:
        """All, by name."""
        return await self._reads.run(self._ask.known_types)
