"""Gives operators' orders to workers: pause, resume, drain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import trio

from hermesd.api.lines import Lines
from hermesd.api.orders import Pending
from hermesd.api.state import ApiState
from hermesd.core.errors import Conflict, InvalidValue, NotFound
from hermesd.core.events import EventKind
from hermesd.core.fleet import FleetEntry, WorkerStatus
from hermesd.core.orders import MAX_REASON_CHARS, OrderKind, WorkerOrder
from hermesd.core.registry import WorkerView

MARGIN_SECONDS: Final = 1.0  # over a heartbeat's interval: by then a worker that lives has answered
_EVENTS: Final = {
    OrderKind.PAUSE: EventKind.PAUSED,
    OrderKind.RESUME: EventKind.RESUMED,
    OrderKind.DRAIN: EventKind.DRAINING,
}


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which workers are meant: those of these ids (or incarnations), or all that fit the rest."""

    ids: tuple[str, ...] = ()
    label: Mapping[str, str] = {}
    machine: str | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        by_filter = bool(self.label) or self.machine is not None
        if (bool(self.ids), by_filter, self.everything).count(True) != 1:
            raise InvalidValue(
                "say which workers: by `ids`, by `label` and `machine`, or `all`; exactly one way"
            )

    def fits(self, view: WorkerView) -> bool:
        """Whether the worker is one of those that are not named by their ids."""
        known = view.registration
        return (self.machine is None or known.machine == self.machine) and all(
            known.labels.get(key) == value for key, value in self.label.items()
        )


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What they are to do, why, and who says so (both for people)."""

    kind: OrderKind
    reason: str = ""
    by: str = ""
    at_once: bool = False

    def __post_init__(self) -> None:
        if self.at_once and self.kind is not OrderKind.DRAIN:
            raise InvalidValue("`at_once` is of a drain only")
        if len(self.reason) > MAX_REASON_CHARS:
            raise InvalidValue(f"`reason` has at most {MAX_REASON_CHARS} characters")


class Ordered(msgspec.Struct, frozen=True):
    """A worker as it is after an order; `taken`: it has confirmed it."""

    entry: FleetEntry
    taken: bool


class Ordering:
    """A worker is unrouted here at once, and carries the order out at its next heartbeat.

    A poke makes that now. The worker itself tells every api how it stands from then on.
    """

    def __init__(self, state: ApiState, lines: Lines, living: Callable[[], Sequence[FleetEntry]]):
        self._state = state
        self._lines = lines
        self._living = living

    async def give(self, chosen: Chosen, command: Command) -> Sequence[Ordered]:
        """Order it, and wait a little for the workers to confirm.

        Raises NotFound where nobody is meant, Conflict where one that is named leaves already, or
        is registered with other apis only.
        """
        views = await self.pick(chosen)
        if chosen.ids and command.kind is not OrderKind.DRAIN:
            _check_stays(views, command.kind)
        self._state.orders.keep(view.incarnation for view in self._state.registry)
        given = [(view, self._order(view, command)) for view in views]
        with trio.move_on_after(self._state.config.liveness.heartbeat_seconds + MARGIN_SECONDS):
            for _, pending in given:
                await pending.taken.wait()
        return [Ordered(view.entry(), pending.taken.is_set()) for view, pending in given]

    async def pick(self, chosen: Chosen) -> Sequence[WorkerView]:
        """Those that are meant; raises as `give` does."""
        if chosen.ids:
            found = [view for each in chosen.ids for view in await self._named(each)]
            return list(dict.fromkeys(found))
        fitting = [view for view in self._registered() if chosen.fits(view)]
        if not fitting:
            raise NotFound("no worker that is registered here fits; GET /workers lists them all")
        return fitting

    def _registered(self) -> Iterator[WorkerView]:
        return (view for view in self._state.registry if not view.condemned)

    async def _named(self, name: str) -> Sequence[WorkerView]:
        found = [each for each in self._registered() if name in (each.worker_id, each.incarnation)]
        if found:
            return found
        entries = (e for e in self._living() if name in (e.worker_id, e.incarnation))
        if any(entry.status is WorkerStatus.ELSEWHERE for entry in entries):
            lives = await self._state.apis.lives()
            others = [f"{api.name} ({api.url})" for api in lives if api.name != self._state.name]
            raise Conflict(
                f"worker {name[:100]!r} is registered with other apis of this store only: ask one "
                f"of them, {', '.join(others) or 'whose names are not known'}"
            )
        raise NotFound(
            f"there is no worker {name[:100]!r}; GET /workers lists those that are known by id"
        )

    def _order(self, view: WorkerView, command: Command) -> Pending:
        state, kind = self._state, command.kind
        order = WorkerOrder(
            id=f"{state.boot}-{state.orders.next_number()}",
            kind=kind,
            reason=command.reason,
            at_once=command.at_once,
        )
        view.pause_requested = kind is OrderKind.PAUSE
        if kind is OrderKind.DRAIN:
            view.drain_requested = True
        if kind is not OrderKind.RESUME:
            view.since_utc, view.reason = state.clock.utc(), command.reason
        pending = state.orders.give(view.incarnation, order)
        self._lines.poke(view.incarnation)
        told = "; ".join(
            text for text in (command.reason, command.by and f"by {command.by}") if text
        )
        state.ring.publish(_EVENTS[kind], worker_id=view.worker_id, message=told)
        state.log.info(
            "worker ordered", worker_id=view.worker_id, order=str(kind), why=told or None
        )
        return pending


def _check_stays(views: Sequence[WorkerView], kind: OrderKind) -> None:
    for view in views:
        if view.draining or view.drain_requested:
            raise Conflict(
                f"worker {view.worker_id!r} is draining, which has no way back: it cannot "
                f"{kind}; start it again when it has gone"
            )
