"""The named queues in the store: which are paused, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hermesd.core.orders import QueuePause
from hermesd.core.words import Place


class Queues(Protocol):
    """Pauses, and figures that cost a search for each place or running job: not for each request.

    Times are UTC seconds, `since` by the store's clock.
    """

    async def pause(self, queue: str, *, reason: str, by: str) -> QueuePause:
        """Pause it; one that is paused stays so since then, with the new reason."""

    async def resume(self, queue: str) -> bool:
        """Pause it no longer; False where it was not paused."""

    async def paused(self) -> Sequence[QueuePause]:
        """All that are paused, by name."""

    async def running(self) -> Mapping[str, int]:
        """How many jobs run, by queue."""

    async def oldest(self, places: Sequence[Place]) -> Mapping[Place, float]:
        """Since when the first job of each place waits, in the store or at the broker.

        A place where none does is left out.
        """
