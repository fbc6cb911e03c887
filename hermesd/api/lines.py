"""The lines to all workers: a dispatcher and a poke stream each, started and ended together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from hermesd.api.acceptance import Waiter
from hermesd.api.dispatch import Dispatcher, DispatchHooks
from hermesd.api.posting import DispatchTerms
from hermesd.api.state import ApiState
from hermesd.core.workerview import Held, WorkerView
from hermesd.signal import Signal


class Line:
    """One worker's dispatcher, with the scope that ends it and the signal that pokes it."""

    def __init__(self, dispatcher: Dispatcher):
        self.dispatcher = dispatcher
        self.scope = trio.CancelScope()
        self.poke = Signal()
        self.streams = 0  # a worker that lost its stream may open the next before the end is seen


class Lines:
    """Owns every worker's line; the nursery that they run in is handed in and outlives them."""

    def __init__(self, state: ApiState, nursery: trio.Nursery):
        self._state = state
        self._nursery = nursery
        self._lines: dict[str, Line] = {}
        self._strays: set[str] = set()

    def open(self, view: WorkerView, hooks: DispatchHooks) -> None:
        """Start the dispatcher of a worker that registered."""
        liveness = self._state.config.liveness
        terms = DispatchTerms(
            api_name=self._state.name,
            api_boot=self._state.boot,
            store_id=self._state.store_id,
            probe_seconds=liveness.probe_timeout_seconds,
            refusal_seconds=liveness.refusal_interval_seconds,
        )
        dispatcher = Dispatcher(view, terms, self._state.clock, hooks, self._state.log)
        line = Line(dispatcher)
        self._lines[view.incarnation] = line
        self._nursery.start_soon(self._run, line)

    def close(self, incarnation: str) -> None:
        """End a worker's dispatcher; what it had not sent stays with the caller's view."""
        line = self._lines.pop(incarnation, None)
        if line is not None:
            line.scope.cancel()

    def send(self, view: WorkerView, held: Held, waiter: Waiter | None) -> None:
        """Hand a committed assignment to its worker's dispatcher."""
        line = self._lines.get(view.incarnation)
        if line is None:
            # Evicted between decision and commit: nobody sends it, so the reaper finds it.
            self._strays.add(held.job.id)
            if waiter:
                waiter.queued("its worker was lost; it will be given to another")
            return
        line.dispatcher.send(held, waiter)

    def free(self, view: WorkerView) -> Dispatcher | None:
        """The worker's dispatcher if it can carry an assignment now."""
        line = self._lines.get(view.incarnation)
        return line.dispatcher if line is not None and line.dispatcher.free else None

    def send_all(self, view: WorkerView, held: Sequence[Held]) -> None:
        """The same for several of one worker, for which nobody waits."""
        line = self._lines.get(view.incarnation)
        if line is None:
            self._strays.update(each.job.id for each in held)
        else:
            line.dispatcher.send_all(held)

    def adopt_later(self, job_ids: list[str]) -> None:
        """These may be committed to a worker without anybody sending them."""
        self._strays.update(job_ids)

    def take_strays(self) -> set[str]:
        """The jobs noted so, once."""
        strays, self._strays = self._strays, set()
        return strays

    def dispatcher(self, incarnation: str) -> Dispatcher | None:
        """The dispatcher of a worker, if its line is open."""
        line = self._lines.get(incarnation)
        return line.dispatcher if line else None

    def poke(self, incarnation: str) -> None:
        """Ask a worker for a heartbeat now; lost where it has no stream."""
        line = self._lines.get(incarnation)
        if line is not None:
            line.poke.set()

    async def flushed(self) -> None:
        """Return when no dispatcher has anything left to send."""
        for line in list(self._lines.values()):
            await line.dispatcher.idle()

    @asynccontextmanager
    async def pokes(
        self, incarnation: str, closed: Callable[[str], None]
    ) -> AsyncIterator[AsyncIterator[None]]:
        """The poke stream of a worker; `closed` is told when the worker's side is gone."""
        line = self._lines.get(incarnation)
        if line is None:
            yield _nothing()
            return
        line.streams += 1
        line.dispatcher.stream_open = True
        try:
            yield _items(line.poke)
        finally:
            line.streams -= 1
            line.dispatcher.stream_open = line.streams > 0
            if not line.streams and self._lines.get(incarnation) is line:
                closed(incarnation)

    async def _run(self, line: Line) -> None:
        with line.scope:
            await line.dispatcher.run()


async def _items(poke: Signal) -> AsyncIterator[None]:
    while True:
        await poke.wait()
        yield None


async def _nothing() -> AsyncIterator[None]:
    for _ in ():
        yield None
