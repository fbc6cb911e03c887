"""Keeps the broker's topology in place, and tells which rung serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from hermesd.api.brokerside import BrokerSide
from hermesd.api.state import ApiState
from hermesd.core.broker import LineStatus, Presence
from hermesd.core.errors import AccessRefused, HermesError

RETRY_SECONDS: Final = 1.0
LOOK_AGAIN_SECONDS: Final = 30.0  # while the queue has a problem that nobody comes to solve
WATCH_SECONDS: Final = 0.5


class TopologyKeeper:
    """Declares the topology whenever the line has come back; what differs is never changed.

    `declared` is set once it was, or may only be by others: before, the queues are not used.
    """

    def __init__(self, state: ApiState, side: BrokerSide):
        self.declared = trio.Event()
        self._state = state
        self._side = side
        self._fault = "it has not been declared yet"
        self._queues: frozenset[str] = frozenset()

    def broker_fault(self) -> str:
        """Why the broker cannot be published to, empty where it can."""
        return self._side.fault()

    def topology_fault(self) -> str:
        """What is not as it should be in the broker, empty where all is."""
        return self._fault

    async def run(self) -> None:
        """Declare, and watch the rung."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_rung)
            while True:
                await self._until(lambda status: status.connected)
                if await self._declare():
                    await self._wait_for_reason()
                await trio.sleep(RETRY_SECONDS)

    async def _declare(self) -> bool:
        log, before = self._state.log, self._fault
        try:
            self._queues = frozenset(self._state.config.queues)
            found = await self._side.broker.declare(self._side.topology(sorted(self._queues)))
        except HermesError as error:
            self._fault = error.detail
            if self._fault != before:
                log.warning("cannot declare the topology", why=error.detail)
            # Whoever may not declare may still publish to what others have declared.
            refused = isinstance(error, AccessRefused)
            self._side.declared("" if refused else f"its queues: {error.detail}")
            if refused:
                self.declared.set()
            return refused
        different = [each for each in found if each.presence is Presence.DIFFERENT]
        self._fault = "; ".join(f"{each.what} {each.name}: {each.detail}" for each in different)
        created = sum(each.presence is Presence.CREATED for each in found)
        if self._fault and self._fault != before:
            log.warning("topology differs", why=self._fault)
        if created or before:
            log.info("topology declared", created=created, of=len(found))
        self._side.declared("")
        self.declared.set()
        return True

    async def _wait_for_reason(self) -> None:
        """Return when the line is lost, messages find no queue, none is confirmed, or there is more
        to declare.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_lost, nursery.cancel_scope)
            nursery.start_soon(self._cancel_when_more, nursery.cancel_scope)
            while not await self._side.misrouted.wait(LOOK_AGAIN_SECONDS):
                if self._side.fault():
                    break
            nursery.cancel_scope.cancel()

    async def _cancel_when_lost(self, scope: trio.CancelScope) -> None:
        await self._until(lambda status: not status.connected)
        scope.cancel()

    async def _cancel_when_more(self, scope: trio.CancelScope) -> None:
        await self._state.until(lambda config: not self._queues.issuperset(config.queues))
        scope.cancel()

    async def _until(self, holds: Callable[[LineStatus], bool]) -> None:
        while not holds(self._side.broker.status):
            await self._side.broker.changed()

    async def _watch_rung(self) -> None:
        known = None
        while True:
            rung = self._state.queue.rung
            if rung is not known:
                self._state.log.info("queue rung changed", rung=str(rung), why=self._side.fault())
                known = rung
            with trio.move_on_after(WATCH_SECONDS):
                await self._side.broker.changed()
