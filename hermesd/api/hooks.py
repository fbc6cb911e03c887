"""What the dispatchers' findings set in motion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from hermesd.api.acceptance import Sending
from hermesd.api.elsewhere import Elsewhere
from hermesd.api.lines import Lines
from hermesd.api.reap import Reaper
from hermesd.api.state import ApiState
from hermesd.core.events import EventKind
from hermesd.core.workerview import WorkerView
from hermesd.signal import Signal


class Findings:
    """Implements dispatch.DispatchHooks; burials run in the nursery that is handed in."""

    def __init__(
        self,
        state: ApiState,
        elsewhere: Elsewhere,
        reaper: Reaper,
        lines: Lines,
        work: Signal,
        nursery: trio.Nursery,
    ):
        self._state = state
        self._elsewhere = elsewhere
        self._reaper = reaper
        self._lines = lines
        self._work = work
        self._nursery = nursery

    async def refused(self, view: WorkerView, sendings: Sequence[Sending], reason: str) -> None:
        """See DispatchHooks."""
        self._state.ring.publish(
            EventKind.DISPATCH_FAILED,
            worker_id=view.worker_id,
            message=f"{len(sendings)} jobs: {reason}",
        )
        await self._elsewhere.give(view, sendings, reason)

    def dead(self, view: WorkerView, evidence: str) -> None:
        """See DispatchHooks."""
        if view.condemned:
            return
        view.condemned = True
        self._nursery.start_soon(partial(self._reaper.bury, view, evidence, proven_dead=True))

    def routable(self, view: WorkerView) -> None:
        """See DispatchHooks."""
        self._work.set()

    def unroutable(self, view: WorkerView, reason: str) -> None:
        """See DispatchHooks."""
        self._state.ring.publish(EventKind.UNROUTED, worker_id=view.worker_id, message=reason)
        self._state.log.warning("worker unrouted", worker_id=view.worker_id, why=reason)

    def poke(self, view: WorkerView) -> None:
        """See DispatchHooks."""
        self._lines.poke(view.incarnation)

    def dispatched(self, view: WorkerView, jobs: int, seconds: float) -> None:
        """See DispatchHooks."""
        self._state.metrics.dispatched(view.worker_id, jobs, seconds)
