"""The Fleet and TypeCatalogue ports: writes through the group commit, reads in threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from hermesd.core.fleet import Incarnation
from hermesd.core.jobtype import JobType
from hermesd.core.records import KnownType
from hermesd.stores.backend import Verb
from hermesd.stores.micros import micros, seconds
from hermesd.stores.sqlite.jobs import Writes
from hermesd.stores.sqlite.reads import ReadPool


class SqliteFleet:
    """Fleet; see `ports.Fleet` for the contract of each method."""

    def __init__(self, writes: Writes, reads: ReadPool, store_id: str) -> None:
        self._writes = writes
        self._reads = reads
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
        return await self._reads.run(_living)

    async def count_as_heard(self) -> None:
        """All living ones were heard just now."""
        await self._writes.do(Verb.COUNT_AS_HEARD, (None,))

    async def forget(self, silent_for_seconds: float) -> int:
        """How many fenced ones were dropped."""
        (count,) = await self._writes.do(Verb.FORGET, (micros(silent_for_seconds),))
        return int(count)


class SqliteTypes:
    """TypeCatalogue; see `ports.TypeCatalogue`."""

    def __init__(self, writes: Writes, reads: ReadPool) -> None:
        self._writes = writes
        self._reads = reads

    async def learn(self, types: Sequence[JobType], source: str) -> None:
        """Add or renew."""
        await self._writes.do(Verb.LEARN, [(job_type, source) for job_type in types])

    async def known(self) -> Sequence[KnownType]:
        """All, by name."""
        return await self._reads.run(_known)


def _living(connection: sqlite3.Connection) -> list[Incarnation]:
    rows = connection.execute(
        "SELECT incarnation, worker_id, address, machine, last_seen_us FROM incarnations "
        "WHERE fenced = 0 ORDER BY incarnation"
    ).fetchall()
    return [
        Incarnation(
            incarnation=incarnation,
            worker_id=worker_id,
            address=address,
            machine=machine,
            last_seen=seconds(last_seen_us),
        )
        for incarnation, worker_id, address, machine, last_seen_us in rows
    ]


def _known(connection: sqlite3.Connection) -> list[KnownType]:
    rows = connection.execute(
        "SELECT definition, last_seen_us, source FROM types ORDER BY name"
    ).fetchall()
    return [
        KnownType(
            type=msgspec.json.decode(definition, type=JobType),
            last_seen=seconds(last_seen_us),
            source=source,
        )
        for definition, last_seen_us, source in rows
    ]
