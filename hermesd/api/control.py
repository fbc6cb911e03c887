"""The api's side of the control line: registrations, heartbeats, reports, claims."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec
import trio

from hermesd.api.catalogue import Catalogue
from hermesd.api.dispatch import DispatchHooks
from hermesd.api.hold import adopt, is_with
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.notes import NoteTaker
from hermesd.api.path import host_and_port
from hermesd.api.reap import Reaper
from hermesd.api.record import Recorder
from hermesd.api.state import ApiState
from hermesd.core.breaker import Breaker
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.events import EventKind
from hermesd.core.fleet import (
    Deregistration,
    FleetEntry,
    Heartbeat,
    HeartbeatAnswer,
    Incarnation,
    Registration,
    RegistrationAnswer,
)
from hermesd.core.job import Job, Owner, Rung, Token
from hermesd.core.notes import NoteBatch
from hermesd.core.orders import WorkerOrder
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict, Report, ReportAnswer
from hermesd.core.states import State
from hermesd.core.workerview import Held, WorkerView
from hermesd.signal import Signal


class Control:
    """Implements ports.ControlService for one api."""

    def __init__(
        self,
        state: ApiState,
        catalogue: Catalogue,
        lines: Lines,
        hooks: DispatchHooks,
        reaper: Reaper,
        recorder: Recorder,
        ledger: Ledger,
        work: Signal,
    ):
        self._state = state
        self._catalogue = catalogue
        self._lines = lines
        self._hooks = hooks
        self._reaper = reaper
        self._recorder = recorder
        self._ledger = ledger
        self._work = work
        self._notes = NoteTaker(state)

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """See ports.ControlLink; raises InvalidValue for an address that cannot be dialled."""
        host_and_port(registration.address)
        incarnation = registration.incarnation
        before = self._state.registry.get(incarnation)
        if before is not None:
            self._hear(before)
        living = await self._state.fleet.register(
            Incarnation(
                incarnation=incarnation,
                worker_id=registration.worker_id,
                address=registration.address,
                machine=registration.machine,
            )
        )
        if not living:
            return self._answer(registration.held, fenced=True)
        await self._catalogue.learn(registration.types, registration.worker_id)
        ids = {*(token.job_id for token in registration.held), *self._reaper.earlier(incarnation)}
        rows = await self._state.reader.get_many(sorted(ids)) if ids else ()
        view = self._state.registry.get(incarnation)
        if (before is not None and view is not before) or (view is not None and view.condemned):
            # It is being evicted, or was meanwhile: its fence is, or will be, for good.
            return self._answer(registration.held, fenced=True)
        return self._answer(self._take_over(registration, rows), fenced=False)

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """See ports.ControlLink."""
        view = self._state.registry.get(heartbeat.incarnation)
        if view is None or heartbeat.api_boot != self._state.boot:
            return HeartbeatAnswer(register_again=True)
        self._hear(view)
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

    async def deregister(self, deregistration: Deregistration) -> None:
        """See ports.ControlLink."""
        view = self._state.registry.get(deregistration.incarnation)
        if view is None:
            await self._state.fleet.fence(deregistration.incarnation, silent_for_seconds=None)
            self._reaper.forget_earlier(deregistration.incarnation)
            return
        self._state.ring.publish(
            EventKind.DEREGISTERED, worker_id=view.worker_id, message=deregistration.reason
        )
        if view.held:  # then their outcomes may have been published
            await self._state.unrecorded.arrived()
        await self._reaper.depart(view)

    async def report(self, report: Report) -> ReportAnswer:
        """See ports.ControlLink."""
        view = self._state.registry.get(report.incarnation)
        known = view is not None and report.api_boot == self._state.boot
        if view is not None:
            self._hear(view)
        if view is not None and known:
            # A slot is free when the handler has ended, not when its outcome is committed.
            view.apply_view(report.view)
            if self._state.tally.waiting_total:
                self._work.set()
        verdicts = await self._recorder.record(view, report.outcomes)
        return ReportAnswer(verdicts=verdicts, register_again=not known)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See ports.ControlLink."""
        state, now = self._state, self._state.clock.utc()
        refused = [self._refusal(claim) for claim in claims]
        stamped = [
            msgspec.structs.replace(claim, assigned_by=state.name, at=now)
            for claim, refusal in zip(claims, refused, strict=True)
            if refusal is None
        ]
        # As in a submit: what is committed must be known here, whatever becomes of the call.
        with trio.CancelScope(shield=True):
            answered = iter(await state.jobs.claim(stamped) if stamped else ())
        answers = [refusal or next(answered) for refusal in refused]
        for claim, answer in zip(claims, answers, strict=True):
            self._claimed(claim, answer)
        return answers

    def _refusal(self, claim: Claim) -> ClaimAnswer | None:
        """The answer to a claim that the store need not be asked about."""
        if claim.store_id != self._state.store_id:
            return ClaimAnswer(verdict=ClaimVerdict.FOREIGN_STORE)
        if claim.queue in self._state.pauses:
            return ClaimAnswer(verdict=ClaimVerdict.PAUSED)
        return None

    def _claimed(self, claim: Claim, answer: ClaimAnswer) -> None:
        self._state.metrics.claimed("repeated" if answer.repeated else answer.verdict)
        job = answer.job
        if job is None:
            return
        if not answer.repeated:
            waited = msgspec.structs.replace(
                job, state=State.QUEUED, owner=Owner.AMQP, lease=claim.token.lease
            )
            self._ledger.assigned(((waited, job),))
        view = self._state.registry.get(claim.incarnation)
        held = view.held.get(job.id) if view is not None else None
        if view is not None and (held is None or held.job.lease < job.lease):
            number = max(view.heartbeat_number, claim.heartbeat)
            adopt(self._state, view, job, number, begun=True)

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """See ports.ControlLink."""
        view = self._state.registry.get(batch.incarnation)
        if view is not None:
            self._hear(view)
        return await self._notes.take(batch, None if view is None else view.worker_id)

    def pokes(self, incarnation: str) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """See ports.ControlLink; the end of the stream is a hint of death."""
        return self._lines.pokes(incarnation, self._stream_closed)

    async def workers(self) -> Sequence[FleetEntry]:
        """The fleet as this api sees it."""
        return [view.entry() for view in self._state.registry]

    def _stream_closed(self, incarnation: str) -> None:
        dispatcher = self._lines.dispatcher(incarnation)
        if dispatcher is not None:
            dispatcher.suspect("its control stream is closed")

    def _hear(self, view: WorkerView) -> None:
        view.heard(self._state.clock.monotonic(), self._state.clock.utc())

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

    def _take_over(self, registration: Registration, jobs: Sequence[Job]) -> tuple[Token, ...]:
        """Enter the worker into the registry; the held leases that are valid no longer."""
        incarnation = registration.incarnation
        rows = {job.id: job for job in jobs}
        view = self._state.registry.get(incarnation)
        if view is None:
            view = self._new_view(registration)
        else:
            view.renew(registration)
            self._state.registry.add(view)
            self._hear(view)
        self._reaper.forget_earlier(incarnation)
        listed = set(registration.held)
        for job in rows.values():
            held = view.held.get(job.id)
            mine = job.assigned_by == self._state.name and is_with(job, incarnation)
            if mine and (held is None or held.job.lease < job.lease):
                # The next heartbeat releases what is not there.
                adopt(self._state, view, job, 0, begun=job.token in listed)
        return tuple(
            token
            for token in registration.held
            if (row := rows.get(token.job_id)) is None
            or row.token != token
            or not is_with(row, incarnation)
        )

    def _new_view(self, registration: Registration) -> WorkerView:
        liveness = self._state.config.liveness
        now = self._state.clock.monotonic()
        breaker = Breaker(
            now,
            min_backoff_seconds=liveness.refusal_interval_seconds,
            max_backoff_seconds=liveness.probe_max_backoff_seconds,
        )
        for other in self._state.registry:
            dispatcher = self._lines.dispatcher(other.incarnation)
            if other.address == registration.address and dispatcher is not None:
                dispatcher.suspect("another incarnation registered its address")
        view = WorkerView(registration, breaker, now, self._state.clock.utc())
        self._state.registry.add(view)
        self._lines.open(view, self._hooks)
        self._state.ring.publish(
            EventKind.REGISTERED, worker_id=view.worker_id, message=view.address
        )
        self._state.log.info(
            "worker registered",
            worker_id=view.worker_id,
            incarnation=view.incarnation,
            address=view.address,
            types=len(view.kinds),
        )
        return view

    def _answer(self, invalid: Sequence[Token], *, fenced: bool) -> RegistrationAnswer:
        return RegistrationAnswer(
            api_name=self._state.name,
            api_boot=self._state.boot,
            store_id=self._state.store_id,
            invalid=tuple(invalid),
            fenced=fenced,
            heartbeat_seconds=self._state.config.liveness.heartbeat_seconds,
            takes_notes=True,
            paused_queues=self._state.pauses.queues,
        )
