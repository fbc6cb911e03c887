"""Workers and apis: what the store knows of them, and what apis tell each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from hermesd.core.apis import ApiLife
from hermesd.core.fleet import FleetEntry, Incarnation
from hermesd.core.jobtype import JobType
from hermesd.core.records import KnownType
from hermesd.core.words import Heard, Word


class Fleet(Protocol):
    """The incarnations that the store knows, by the store's clock."""

    async def store_id(self) -> str:
        """The identity of this store; a restored backup has a new one."""

    async def register(self, incarnation: Incarnation) -> bool:
        """Note an incarnation as heard now; False where it is fenced."""

    async def heard(self, incarnations: Sequence[str]) -> Sequence[bool]:
        """Note that these were heard just now; False for each that is fenced or absent."""

    async def fence(self, incarnation: str, *, silent_for_seconds: float | None) -> bool:
        """Fence for good, if silent for so long (None: in any case); True if that was done now."""

    async def living(self) -> Sequence[Incarnation]:
        """All incarnations that are not fenced."""

    async def count_as_heard(self) -> None:
        """All living incarnations count as heard just now (an api has started)."""

    async def forget(self, silent_for_seconds: float) -> int:
        """Drop fenced incarnations that hold no job and were silent for so long."""


class Apis(Protocol):
    """The apis that the store knows, and the running jobs that they have assigned."""

    async def renew(self, life: ApiLife) -> bool:
        """Note a life as seen now; False where it was not known: its jobs may be others'."""

    async def lives(self) -> Sequence[ApiLife]:
        """All that are known, by name."""

    async def dismiss(self, life: ApiLife) -> bool:
        """Strike out a life that was not renewed since it was read; True if that was done now."""

    async def retire(self, life: ApiLife) -> None:
        """Strike out a life that ends by itself, if it is known still."""

    async def adopt(self, by: str, incarnations: Sequence[str], limit: int) -> Sequence[str]:
        """Let `by` have assigned running jobs of these incarnations whose own api is not known.

        Answers the ids of up to `limit`. Of several apis that ask at once one gets a job. Leases
        stay as they are.
        """

    async def disown(self, by: str, incarnation: str) -> None:
        """The incarnation's running jobs that `by` has assigned are any other api's to adopt."""

    async def held_by(self, incarnation: str) -> Sequence[str]:
        """The ids of the running jobs of an incarnation, whichever api assigned them."""


class TypeCatalogue(Protocol):
    """The job types that the store has ever been told of."""

    async def learn(self, types: Sequence[JobType], source: str) -> None:
        """Add or renew types; `source` is a worker id or `api`."""

    async def known(self) -> Sequence[KnownType]:
        """All of them."""


class FleetView(Protocol):
    """What an api knows of its workers, for people."""

    def entries(self) -> Sequence[FleetEntry]:
        """One entry a worker."""

    def totals(self) -> Mapping[str, int]:
        """Sums over the fleet."""


class Bus(Protocol):
    """A line between the apis of one store, which makes them quick; any word may be lost on it."""

    @property
    def shared(self) -> bool:
        """Whether there may be other apis at all."""

    def tell(self, word: Word) -> None:
        """Say it to all other apis as soon as may be; never waits, and leaves out in a flood.

        The words that wait to be told are made few: of the same kind one (core/outgoing.py).
        """

    def words(self) -> AsyncIterator[Heard]:
        """What the others say, for one listener; a Missed where something may be lost."""
