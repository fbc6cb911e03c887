"""The orders that workers have not confirmed yet: each heartbeat's answer repeats what is left."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from hermesd.core.fleet import Heartbeat
from hermesd.core.orders import WorkerOrder


class Pending:
    """An order on its way; `taken` is set when the worker says that it has carried it out."""

    def __init__(self, order: WorkerOrder) -> None:
        self.order = order
        self.taken = trio.Event()


class Orders:
    """At most one a worker: a new one takes the place of the one before."""

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}  # by incarnation
        self._given = 0

    def next_number(self) -> int:
        """A number that no other order of this life of the api has."""
        self._given += 1
        return self._given

    def give(self, incarnation: str, order: WorkerOrder) -> Pending:
        """Have it told in the answers to the worker's heartbeats."""
        pending = self._pending[incarnation] = Pending(order)
        return pending

    def keep(self, incarnations: Iterable[str]) -> None:
        """Forget the orders of all other workers: they are gone."""
        known = set(incarnations)
        self._pending = {each: order for each, order in self._pending.items() if each in known}

    def heard(self, heartbeat: Heartbeat) -> tuple[WorkerOrder | None, bool]:
        """What the answer is to say, and whether the heartbeat has confirmed the last one."""
        pending = self._pending.get(heartbeat.incarnation)
        if pending is None:
            return None, False
        if heartbeat.order_taken != pending.order.id:
            return pending.order, False
        del self._pending[heartbeat.incarnation]
        pending.taken.set()
        return None, True
