"""The agents of one api, wired together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import trio

from hermesd.api.absent import Absentees
from hermesd.api.acceptance import Patience
from hermesd.api.admission import Admission
from hermesd.api.adopter import Adopter
from hermesd.api.amqp import AmqpAgents
from hermesd.api.brokerside import BrokerSide
from hermesd.api.bulk import Bulk
from hermesd.api.cancels import Cancels
from hermesd.api.catalogue import Catalogue
from hermesd.api.claims import Claims
from hermesd.api.control import Control
from hermesd.api.depth import bulk_room
from hermesd.api.elsewhere import Elsewhere
from hermesd.api.enrolment import Enrolment
from hermesd.api.far_orders import Asking, Deputy
from hermesd.api.feed import Feeder
from hermesd.api.firing import Firings
from hermesd.api.fleet import FleetBoard
from hermesd.api.fleetline import FleetLine
from hermesd.api.follow import Follower
from hermesd.api.forecaster import Forecaster
from hermesd.api.hearing import Hearers, Hearing
from hermesd.api.hooks import Findings
from hermesd.api.intake import Intake
from hermesd.api.invariants import InvariantChecker
from hermesd.api.ladder import Ladder
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.lookout import Lookout
from hermesd.api.operate import Aftermath, Operator
from hermesd.api.ordering import Ordering
from hermesd.api.pulse import Pulse
from hermesd.api.queuebook import QueueBook
from hermesd.api.queuefigures import QueueFigures
from hermesd.api.readahead import ReadAhead
from hermesd.api.reap import Reaper
from hermesd.api.record import Recorder
from hermesd.api.retain import Retainer
from hermesd.api.route import Router
from hermesd.api.scheduler import Scheduler
from hermesd.api.schedules import ScheduleBook
from hermesd.api.services import ApiServices
from hermesd.api.state import ApiState
from hermesd.api.submit import Submitter
from hermesd.api.telling import Telling
from hermesd.api.timers import DueTimer
from hermesd.core.broker import LineStatus
from hermesd.core.jobtype import JobType
from hermesd.observe.metrics import CommitStats
from hermesd.ports import Broker, ControlService, Points, Schedules, TypeCatalogue
from hermesd.signal import Signal


class BoundControl(Protocol):
    """A control server that accepts connections."""

    @property
    def port(self) -> int:
        """The port that it listens on."""


@dataclass(frozen=True, kw_only=True)
class ApiParts:
    """What the daemon hands to the role beside the state; `broker` is None where there is none."""

    types: TypeCatalogue
    schedules: Schedules
    points: Points
    installed: Sequence[JobType]
    open_control: Callable[[ControlService], AbstractAsyncContextManager[BoundControl]]
    listeners: Sequence[Any]
    store_check: Callable[[], Awaitable[None]]
    commits: Callable[[], CommitStats]
    role: str
    broker: BrokerSide | None = None


class ApiAgents:
    """Everything that acts in one api, wired together; the tasks run in `nursery`."""

    def __init__(self, state: ApiState, parts: ApiParts, nursery: trio.Nursery):
        self._state = state
        self._parts = parts
        work, due, schedules_changed = Signal(), Signal(), Signal()
        self.catalogue = Catalogue(parts.types, state.clock)
        self.lines = Lines(state, nursery)
        self.ledger = Ledger(state, work, due)
        router = Router(state)
        self.reaper = Reaper(state, self.lines, self.ledger)
        elsewhere = Elsewhere(state, router, self.lines, self.ledger)
        findings = Findings(state, elsewhere, self.reaper, self.lines, work, nursery)
        self.recorder = Recorder(state, self.ledger)
        self.control = self._control(findings, work)
        ladder, reading, left = Ladder(state), ReadAhead(state), Signal()
        self.telling = Telling(state)
        self.feeder = Feeder(
            state, router, ladder, reading, self.lines, self.ledger, work, left, self.telling
        )
        self.amqp = (
            None
            if parts.broker is None
            else AmqpAgents(state, parts.broker, ladder, reading, self.ledger, self.recorder, left)
        )
        self.adopter = Adopter(state, self.lines, self.reaper.tell_store)
        self.absentees = Absentees(state, self.reaper)
        cancels = Cancels(state, self.lines)
        self.checker = InvariantChecker(state, self.lines, cancels)
        self.board = FleetBoard(state.registry)
        self.lookout = self._lookout()
        asking = Asking(state)
        self.ordering = Ordering(state, self.lines, self.board.entries, asking)
        self.deputy = Deputy(state, self.ordering.obey)
        self.queues = QueueBook(state, self.lines, work)
        self.fleet_line = FleetLine(state, self.board, self.ledger.story)
        self.timer = DueTimer(state, self.ledger, due)
        hearers = self._hearers(work, schedules_changed, asking)
        self.hearing = Hearing(state, self.ledger, cancels, hearers)
        self.retainer = Retainer(state, self.ledger)
        admission, patience = Admission(state, self.catalogue), Patience(state, nursery)
        self.intake = Intake(state, router, self.lines, self.ledger, patience, nursery)
        firings, kept = Firings(admission), parts.schedules
        self.scheduler = Scheduler(state, kept, firings, self.ledger, schedules_changed)
        self.schedules = ScheduleBook(state, kept, firings, self.scheduler, schedules_changed)
        self.follower = Follower(state, self.schedules)
        self.submitter = Submitter(state, admission, router, self.lines, self.ledger, self.intake)
        aftermath = self._aftermath(cancels)
        self.operator = Operator(state.jobs, state.reader, state.ring, aftermath)
        room = partial(bulk_room, state, state.tally)
        self.bulk = Bulk(state.jobs, state.reader, state.clock, state.ring, aftermath, room)

    def _control(self, findings: Findings, work: Signal) -> Control:
        state, lines, reaper = self._state, self.lines, self.reaper
        enrolment = Enrolment(state, self.catalogue, lines, findings, reaper)
        pulse = Pulse(state, lines, reaper, work)
        return Control(state, enrolment, pulse, Claims(state, self.ledger), self.recorder, work)

    def _lookout(self) -> Lookout:
        return Lookout(
            self._state,
            self._parts.points,
            self.board,
            broker_fault=self.broker_fault,
            types_version=lambda: self.catalogue.version,
        )

    def _hearers(self, work: Signal, schedules: Signal, asking: Asking) -> Hearers:
        return Hearers(
            work=work,
            fleet=self.board.changed,
            due=self.timer.heard,
            recount=self.feeder.recount,
            schedules=schedules.set,
            queues=self.queues.changed.set,
            stepped=self.lookout.history.heard,
            greet=self.telling.greet,
            ordered=self.deputy.heard,
            order_done=asking.heard,
        )

    def _aftermath(self, cancels: Cancels) -> Aftermath:
        return Aftermath(
            cancelled=self.ledger.cancelled,
            cancel_requested=cancels.asked,
            queued=self.ledger.queued,
            purged=self.ledger.purged,
        )

    async def recall(self) -> None:
        """Take up where an earlier life of this api ended."""
        await self.adopter.begin()
        await self._state.fleet.count_as_heard()
        self.reaper.remember(await self._state.reader.assigned(self._state.name))
        self._state.tally.reset(await self._state.reader.counts())
        await self.queues.look()
        await self.catalogue.load(self._parts.installed)
        await self.schedules.declare(self._state.config.schedules)
        if self.amqp is not None:
            await self.amqp.catch_up()

    def services(self) -> ApiServices:
        """What the HTTP routes are served from."""
        state = self._state
        state.metrics.watch(
            counts=state.tally.counts,
            fleet=self.board,
            commits=self._parts.commits,
            rung=lambda: state.queue.rung,
            broker=None if state.broker is None else partial(_status_of, state.broker),
            at_broker=state.published.counts,
            oldest=self.lookout.ages.levels,
            paused=self.queues.by_name,
        )
        return ApiServices(
            live=state,
            clock=state.clock,
            log=state.log,
            submitter=self.submitter,
            recorder=self.recorder,
            operator=self.operator,
            bulk=self.bulk,
            reader=state.reader,
            notes=state.notes,
            schedules=self.schedules,
            ordering=self.ordering,
            forecaster=Forecaster(state, partial(state.metrics.flow.run_seconds, share=0.95)),
            queues=self.queues,
            queue_figures=QueueFigures(state, self.board.entries, self.lookout.ages.oldest),
            catalogue=self.catalogue,
            ring=state.ring,
            fleet=self.board,
            ages=self.lookout.ages,
            history=self.lookout.history,
            summaries=self.lookout.summaries,
            metrics=state.metrics,
            queue=state.queue,
            store_check=self._parts.store_check,
            counts=state.tally.counts,
            started_at=state.clock.utc(),
            api_name=state.name,
            role=self._parts.role,
            broker=self.amqp.keeper if self.amqp is not None else None,
            tracing=state.tracing,
        )

    def broker_fault(self) -> str:
        """Why the broker takes no messages, empty where it does or where there is none."""
        return "" if self.amqp is None else self.amqp.keeper.broker_fault()

    async def follow_others(self) -> None:
        """What is done for the sake of other apis on the same store, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.hearing.run)
            nursery.start_soon(self.telling.run)
            nursery.start_soon(self.deputy.run)
            nursery.start_soon(self.board.follow, self._state.fleet)


def _status_of(broker: Broker) -> LineStatus:
    return broker.status
