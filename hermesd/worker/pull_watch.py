"""Notices that pulling has stopped although there is something to pull, and begins it anew."""

from __future__ import annotations

from typing import Final, Never

import trio

from hermesd.core.errors import HermesError
from hermesd.ports import Broker
from hermesd.worker.pull import Puller, Source
from hermesd.worker.state import WorkerState

STALLED_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 2.5


class PullWatch:
    """The agent that watches; it looks into the queues only where nothing is taken from them."""

    def __init__(self, state: WorkerState, broker: Broker, puller: Puller) -> None:
        self._state = state
        self._broker = broker
        self._puller = puller
        self._taken = 0
        self._since: float | None = None  # there was something to take, and nothing was taken

    async def run(self) -> Never:
        """Look now and then."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            await self.run_once()

    async def run_once(self) -> None:
        """Begin anew where nothing was taken for too long."""
        puller, now = self._puller, self._state.clock.monotonic()
        moved, self._taken = puller.taken != self._taken, puller.taken
        source = None if moved or puller.hindrance() else await self._ready()
        if source is None:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= STALLED_SECONDS:
            self._state.log.error(
                "pulling has stalled, beginning anew",
                queue=source.name,
                why=f"nothing taken for {now - self._since:.0f} s while messages are ready",
                free=self._state.slots.free(),
                line=self._broker.status.reason or "connected",
            )
            self._state.metrics.pull_restarted(source.queue)
            self._since = None
            puller.restart()

    async def _ready(self) -> Source | None:
        """A source with messages that nobody has."""
        for source in list(self._puller.awake()):
            try:
                facts = await self._broker.depth(source.name)
            except HermesError:
                return None
            if facts is not None and facts.messages:
                return source
        return None
