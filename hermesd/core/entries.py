"""How a registered worker is shown to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hermesd.core.fleet import FleetEntry, WorkerStatus

if TYPE_CHECKING:
    from hermesd.core.workerview import WorkerView


def entry_of(view: WorkerView) -> FleetEntry:
    """The worker as one api sees it."""
    known = view.registration
    return FleetEntry(
        worker_id=known.worker_id,
        incarnation=known.incarnation,
        address=known.address,
        machine=known.machine,
        last_seen_unix=view.last_seen_utc,
        load=view.load,
        slots=dict(view.slots),
        free=view.free_slots(),
        status=status_of(view),
        types=tuple(sorted(view.kinds)),
        queues=tuple(sorted(view.queues)),
        version=known.version,
        breaker=str(view.breaker.state),
        labels=dict(known.labels),
        since_unix=view.since_utc,
        reason=view.reason,
    )


def status_of(view: WorkerView) -> WorkerStatus:
    """How it stands; what an operator has ordered goes before what is wrong with its path."""
    if view.draining or view.drain_requested:
        return WorkerStatus.DRAINING
    if view.paused or view.pause_requested:
        return WorkerStatus.PAUSED
    if not view.breaker.closed:
        return WorkerStatus.UNREACHABLE
    busy = any(view.free(kind) < total for kind, total in view.slots.items())
    return WorkerStatus.BUSY if busy else WorkerStatus.IDLE
