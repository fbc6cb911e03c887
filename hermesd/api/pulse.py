"""Whether workers are there: their heartbeats, and the streams that end when they do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from hermesd.api.lines import Lines
from hermesd.api.reap import Reaper
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.fleet import Heartbeat, HeartbeatAnswer
from hermesd.core.job import Rung
from hermesd.core.orders import WorkerOrder
from hermesd.core.workerview import Held, WorkerView
from hermesd.signal import Signal


def hear(state: ApiState, view: WorkerView) -> None:
    """Note that the worker said something just now."""
    view.heard(state.clock.monotonic(), state.clock.utc())


class Pulse:
    """Takes in heartbeats, and gives back what a worker should hold and does not list."""

    def __init__(self, state: ApiState, lines: Lines, reaper: Reaper, work: Signal):
        self._state = state
        self._lines = lines
        self._reaper = reaper
        self._work = work

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """See ports.ControlLink."""
        view = self._state.registry.get(heartbeat.incarnation)
        if view is None or heartbeat.api_boot != self._state.boot:
            return HeartbeatAnswer(register_again=True)
        hear(self._state, view)
        self._reaper.heard(view.incarnation)
        if heartbeat.number <= view.heartbeat_number:
            return HeartbeatAnswer(paused_queues=self._state.pauses.queues)
        view.heartbeat_number = heartbeat.number
        view.load = heartbeat.load
        order = self._standing(view, heartbeat)
        view.apply_view(heartbeat.view)
        dispatcher = self._lines.dispatcher(view.incarnation)
        if heartbeat.fenced_batch and dispatcher is not None:
            dispatcher.fenced(heartbeat.fenced_batch, frozenset(heartbeat.held))
        unlisted = view.unlisted(heartbeat)
        if unlisted:
            await self._release(view, unlisted)
        self._work.set()
        return HeartbeatAnswer(
            cancels=view.cancels(heartbeat),
            drain=view.drain_requested,
            fence_batch=view.fence_batch,
            order=order,
            paused_queues=self._state.pauses.queues,
        )

    def _standing(self, view: WorkerView, heartbeat: Heartbeat) -> WorkerOrder | None:
        """Take in how the worker stands; what it has not carried out yet."""
        order, taken = self._state.orders.heard(heartbeat)
        if taken:
            view.pause_requested = False
        view.apply_standing(heartbeat)
        return order

    async def _release(self, view: WorkerView, unlisted: Sequence[Held]) -> None:
        """Queue what a worker should have and has not; a later heartbeat does it if this cannot."""
        if any(held.job.rung is Rung.AMQP for held in unlisted):
            # It lists no more what it has published: that is to come here first.
            if not await self._state.unrecorded.arrived():
                return
            unlisted = [held for held in unlisted if view.held.get(held.job.id) is held]
        if not unlisted:
            return
        try:
            released = await self._reaper.release_unlisted(view, unlisted)
        except (Unavailable, OutcomeUnknown) as error:
            self._state.log.warning("cannot release yet", why=error.detail)
            return
        if released:  # of the others another api has had the outcome
            self._state.log.warning("leases not listed", worker_id=view.worker_id, jobs=released)

    def pokes(self, incarnation: str) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """See ports.ControlLink; the end of the stream is a hint of death."""
        return self._lines.pokes(incarnation, self._stream_closed)

    def _stream_closed(self, incarnation: str) -> None:
        dispatcher = self._lines.dispatcher(incarnation)
        if dispatcher is not None:
            dispatcher.suspect("its control stream is closed")
