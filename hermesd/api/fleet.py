"""The fleet as one api sees it, for `GET /workers` and statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import trio

from hermesd.core.entries import status_of
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
            # While the store is away those of before count: whoever follows a worker would take it
            # to have gone.
            with suppress(Unavailable, OutcomeUnknown):
                self._living = await fleet.living()
            await trio.sleep(PAUSE_SECONDS)
            await self.changed.wait(LOOK_SECONDS)

    def entries(self) -> Sequence[FleetEntry]:
        """One entry a worker."""
        return [
            *(view.entry() for view in self._registry),
            *(_elsewhere(known) for known in self._strangers()),
        ]

    def totals(self) -> Mapping[str, int]:
        """Workers by status, and slots and free slots in all."""
        totals = {"workers": 0, "slots": 0, "free": 0, "held": 0}
        statuses = Counter[str](WorkerStatus.ELSEWHERE for _ in self._strangers())
        for view in self._registry:
            statuses[status_of(view)] += 1
            totals["held"] += len(view.held)
            for kind, slots in view.slots.items():
                totals["slots"] += slots
                totals["free"] += max(view.free(kind), 0)
        totals["workers"] = statuses.total()
        return totals | {str(status): workers for status, workers in statuses.items()}

    def _strangers(self) -> Iterator[Incarnation]:
        """Those whom only other apis know."""
        return (one for one in self._living if self._registry.get(one.incarnation) is None)


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
