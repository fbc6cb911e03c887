"""What a scrape of a worker reads from its memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hermesd.core.broker import LineStatus
from hermesd.core.job import Kind
from hermesd.worker.processes import ProcessPool
from hermesd.worker.state import WorkerState


class Gauges:
    """Implements worker_metrics.WorkerGauges."""

    def __init__(self, state: WorkerState, pool: ProcessPool):
        self._state = state
        self._pool = pool

    def slots(self) -> Mapping[str, int]:
        """By kind."""
        return self._state.slots.totals

    def free(self) -> Mapping[str, int]:
        """By kind."""
        return self._state.slots.free()

    def running(self) -> Mapping[str, int]:
        """By kind; with and without an api."""
        leases = self._state.leases
        runs = (*leases.running.values(), *leases.unclaimed.values())
        counted = Counter(str(run.kind) for run in runs)
        return {str(kind): counted[str(kind)] for kind in Kind}

    def children(self) -> int:
        """At work or warm."""
        return len(self._pool.child_pids)

    def unreported(self) -> int:
        """Those that wait for an api, and those that wait for the broker."""
        return len(self._state.leases.unsettled) + len(self._state.leases.unpublished)

    def apis(self) -> int:
        """With a live session."""
        return sum(session.live for session in self._state.sessions.values())

    def draining(self) -> bool:
        """Told to leave."""
        return self._state.draining

    def degraded(self) -> bool:
        """No api has answered for one TTL, and there is a broker."""
        return self._state.degraded

    def broker(self) -> LineStatus | None:
        """None where jobs come from the apis alone."""
        return None if self._state.broker is None else self._state.broker.status
