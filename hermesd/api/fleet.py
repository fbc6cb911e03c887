"""The fleet as one api sees it, for `GET /workers` and statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hermesd.core.fleet import FleetEntry
from hermesd.core.registry import Registry


class FleetBoard:
    """Implements ports.FleetView over the registry."""

    def __init__(self, registry: Registry):
        self._registry = registry

    def entries(self) -> Sequence[FleetEntry]:
        """One entry a worker."""
        return [view.entry() for view in self._registry]

    def totals(self) -> Mapping[str, int]:
        """Workers by status, and slots and free slots in all."""
        totals = {"workers": 0, "slots": 0, "free": 0, "held": 0}
        for view in self._registry:
            entry = view.entry()
            totals["workers"] += 1
            totals["slots"] += sum(entry.slots.values())
            totals["free"] += sum(entry.free.values())
            totals["held"] += len(view.held)
            totals[str(entry.status)] = totals.get(str(entry.status), 0) + 1
        return totals
