"""The fleet as one api sees it, for `GET /workers` and statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio

from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.fleet import FleetEntry, Incarnation, Load, WorkerStatus
from hermesd.core.registry import Registry
from hermesd.ports import Fleet
from hermesd.signal import Signal

LOOK_SECONDS: Final = 15.0  # who comes and goes is told by words as well
PAUSE_SECONDS: Final = 0.2  # between two looks


class FleetBoard:
    """Implements ports.FleetView over the registry, and over those that other apis know."""

    def __init__(self, registry: Registry):
        self._registry = registry
        self._living: Sequence[Incarnation] = ()
        self.changed = Signal()

    async def follow(self, fleet: Fleet) -> None:
        """Look into the store now and then, and when somebody says that it has changed."""
        while True:
            try:
                self._living = await fleet.living()
            except (Unavailable, OutcomeUnknown):
                self._living = ()  # nobody knows now
            await trio.sleep(PAUSE_SECONDS)
            await self.changed.wait(LOOK_SECONDS)

    def entries(self) -> Sequence[FleetEntry]:
        """One entry a worker."""
        here = [view.entry() for view in self._registry]
        return here + [
            _elsewhere(known)
            for known in self._living
            if self._registry.get(known.incarnation) is None
        ]

    def totals(self) -> Mapping[str, int]:
        """Workers by status, and slots and free slots in all."""
        totals = {"workers": 0, "slots": 0, "free": 0, "held": 0}
        for entry in self.entries():
            totals["workers"] += 1
            totals["slots"] += sum(entry.slots.values())
            totals["free"] += sum(entry.free.values())
            totals[str(entry.status)] = totals.get(str(entry.status), 0) + 1
        totals["held"] = sum(len(view.held) for view in self._registry)
        return totals


def _elsewhere(known: Incarnation) -> FleetEntry:
    """What the store knows of a worker that is not registered here."""
    return FleetEntry(
        worker_id=known.worker_id,
        incarnation=known.incarnation,
        address=known.address,
        machine=known.machine,
        last_seen_unix=known.last_seen,
        load=Load(),
        slots={},
        free={},
        status=WorkerStatus.ELSEWHERE,
        types=(),
        queues=(),
        version="",
        breaker="",
    )
