"""How quickly each worker answers dispatches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from hermesd.observe.instruments import Family, View
from hermesd.observe.views import MAX_WORKER_LABELS
from hermesd.ports import FleetView

_DISPATCHES: Final = Family(
    "summary",
    "hermesd_dispatch_worker_seconds",
    "From a dispatch POST to its answer, by worker.",
    ("worker",),
)


class Dispatches:
    """How many dispatches each worker has answered, and in how many seconds all in all.

    A worker that has left the fleet is shown no more; `fleet` says who is there.
    """

    def __init__(self) -> None:
        self.fleet: FleetView | None = None
        self.view = View((_DISPATCHES,), self._read)
        self._sums: dict[str, tuple[int, float]] = {}

    def add(self, worker_id: str, seconds: float) -> None:
        """One was answered; of workers past MAX_WORKER_LABELS nothing is known."""
        count, total = self._sums.get(worker_id, (0, 0.0))
        if count or len(self._sums) < MAX_WORKER_LABELS:
            self._sums[worker_id] = (count + 1, total + seconds)

    def _read(self) -> Iterator[Metric]:
        if self.fleet is not None:
            present = {entry.worker_id for entry in self.fleet.entries()}
            self._sums = {name: sums for name, sums in self._sums.items() if name in present}
        yield _DISPATCHES.summaries(((name,), *sums) for name, sums in self._sums.items())
