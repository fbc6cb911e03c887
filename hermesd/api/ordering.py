"""Gives operators' orders to workers: pause, resume, drain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import trio
from msgspec.structs import replace

from hermesd.api.far_orders import Asking, Standing
from hermesd.api.lines import Lines
from hermesd.api.orders import Pending
from hermesd.api.state import ApiState
from hermesd.core.errors import Conflict, HermesError, InvalidValue, NotFound
from hermesd.core.events import EventKind
from hermesd.core.fleet import FleetEntry, WorkerStatus
from hermesd.core.orders import MAX_REASON_CHARS, OrderKind, WorkerOrder
from hermesd.core.words import FarOrder
from hermesd.core.workerview import WorkerView

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

    A poke makes that now. The worker itself tells every api how it stands from then on. One that is
    registered with other apis only is ordered by these.
    """

    def __init__(
        self,
        state: ApiState,
        lines: Lines,
        living: Callable[[], Sequence[FleetEntry]],
        asking: Asking,
    ):
        self._state = state
        self._lines = lines
        self._living = living
        self._asking = asking

    async def give(self, chosen: Chosen, command: Command) -> Sequence[Ordered]:
        """Order it, and wait a little for the workers to confirm.

        Raises NotFound where nobody is meant, Conflict where one that is named leaves already, or
        where no api answers for those that are.
        """
        views, far = self._here(chosen), self._elsewhere(chosen)
        if not views and not far:
            raise _nobody(chosen)
        if chosen.ids and command.kind is not OrderKind.DRAIN:
            _check_stays([view.entry() for view in views], command.kind)
        ordered: list[Ordered] = []

        async def order_here() -> None:
            ordered.extend(await self._give_here(views, command))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(order_here)
            there = await self._give_elsewhere(far, chosen, command)
        if chosen.ids and command.kind is not OrderKind.DRAIN:
            _check_stays([each.entry for each in there if not each.taken], command.kind)
        if not ordered and not any(_answered(each) for each in there):
            raise await self._out_of_reach(chosen, far)
        return [*ordered, *there]

    def find(self, worker_id: str) -> FleetEntry:
        """The latest of this id, or incarnation, at whichever api; raises NotFound."""
        chosen = Chosen(ids=(worker_id,))
        far = self._elsewhere(chosen)  # none of them is here
        here = [view.entry() for view in self._here(chosen)]
        return here[-1] if here else max(far, key=lambda each: each.last_seen_unix)

    async def obey(self, order: FarOrder) -> Mapping[str, Standing]:
        """Carry out what another api asks for, on those that are registered here."""
        try:
            kind = OrderKind(order.kind)
            command = Command(kind=kind, reason=order.reason, by=order.by, at_once=order.at_once)
        except (ValueError, InvalidValue):  # of a newer version
            return {}
        meant = Chosen(label=order.label) if order.label else Chosen(everything=True)
        views = [
            view
            for view in self._registered()
            if view.incarnation in order.incarnations and meant.fits(view)
        ]
        leaving = [view for view in views if _leaves(view.entry()) and kind is not OrderKind.DRAIN]
        given = await self._give_here([view for view in views if view not in leaving], command)
        standings = {view.incarnation: Standing(view.entry().status, False) for view in leaving}
        return standings | {
            each.entry.incarnation: Standing(each.entry.status, each.taken) for each in given
        }

    async def _give_here(self, views: Sequence[WorkerView], command: Command) -> Sequence[Ordered]:
        self._state.orders.keep(view.incarnation for view in self._state.registry)
        given = [(view, self._order(view, command)) for view in views]
        with trio.move_on_after(self._patience()):
            for _, pending in given:
                await pending.taken.wait()
        return [Ordered(view.entry(), pending.taken.is_set()) for view, pending in given]

    async def _give_elsewhere(
        self, far: Sequence[FleetEntry], chosen: Chosen, command: Command
    ) -> Sequence[Ordered]:
        """Of those that are chosen by a label only those of which an api says that they have it."""
        if not far:
            return []
        order = FarOrder(
            kind=str(command.kind),
            label=dict(chosen.label),
            reason=command.reason,
            by=command.by,
            at_once=command.at_once,
        )
        told = await self._asking.ask(order, [each.incarnation for each in far], self._patience())
        known = {each.incarnation: each for each in far}
        return [
            Ordered(replace(entry, status=told[name].status), told[name].taken)
            if name in told
            else Ordered(entry, False)
            for name, entry in known.items()
            if name in told or not chosen.label
        ]

    def _patience(self) -> float:
        return self._state.config.liveness.heartbeat_seconds + MARGIN_SECONDS

    def _registered(self) -> Iterator[WorkerView]:
        return (view for view in self._state.registry if not view.condemned)

    def _here(self, chosen: Chosen) -> Sequence[WorkerView]:
        if not chosen.ids:
            return [view for view in self._registered() if chosen.fits(view)]
        return [
            view
            for view in self._registered()
            if view.worker_id in chosen.ids or view.incarnation in chosen.ids
        ]

    def _elsewhere(self, chosen: Chosen) -> Sequence[FleetEntry]:
        """Those that only others know; raises NotFound for a name that nobody has."""
        here = {name for view in self._registered() for name in (view.worker_id, view.incarnation)}
        far = [entry for entry in self._living() if entry.status is WorkerStatus.ELSEWHERE]
        if not chosen.ids:
            return [each for each in far if chosen.machine in (None, each.machine)]
        known = {name for each in far for name in (each.worker_id, each.incarnation)}
        if unknown := [name for name in chosen.ids if name not in here | known]:
            raise _nobody(Chosen(ids=(unknown[0],)))
        wanted = set(chosen.ids) - here
        return [each for each in far if {each.worker_id, each.incarnation} & wanted]

    async def _out_of_reach(self, chosen: Chosen, far: Sequence[FleetEntry]) -> HermesError:
        """What is said where nobody answers for them."""
        if chosen.label:  # who knows whether any of them has it
            return _nobody(chosen)
        lives = await self._state.apis.lives()
        others = [f"{api.name} ({api.url})" for api in lives if api.name != self._state.name]
        return Conflict(
            f"worker {far[0].worker_id!r} is registered with other apis of this store only, and "
            f"they have not answered for it: ask one of them, "
            f"{', '.join(others) or 'whose names are not known'}"
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


def _leaves(entry: FleetEntry) -> bool:
    return entry.status is WorkerStatus.DRAINING


def _answered(ordered: Ordered) -> bool:
    return ordered.entry.status is not WorkerStatus.ELSEWHERE


def _check_stays(entries: Sequence[FleetEntry], kind: OrderKind) -> None:
    for entry in entries:
        if _leaves(entry):
            raise Conflict(
                f"worker {entry.worker_id!r} is draining, which has no way back: it cannot "
                f"{kind}; start it again when it has gone"
            )


def _nobody(chosen: Chosen) -> NotFound:
    if chosen.ids:
        return NotFound(
            f"there is no worker {chosen.ids[0][:100]!r}; GET /workers lists those that are known "
            "by id"
        )
    return NotFound("no worker fits; GET /workers lists them all")
