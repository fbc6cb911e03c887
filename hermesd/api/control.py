"""The api's side of the control line: who answers each call of a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from hermesd.api.claims import Claims
from hermesd.api.enrolment import Enrolment
from hermesd.api.notes import NoteTaker
from hermesd.api.pulse import Pulse, hear
from hermesd.api.record import Recorder
from hermesd.api.state import ApiState
from hermesd.core.fleet import (
    Deregistration,
    FleetEntry,
    Heartbeat,
    HeartbeatAnswer,
    Registration,
    RegistrationAnswer,
)
from hermesd.core.notes import NoteBatch
from hermesd.core.records import Claim, ClaimAnswer, Report, ReportAnswer
from hermesd.signal import Signal


class Control:
    """Implements ports.ControlService for one api."""

    def __init__(
        self,
        state: ApiState,
        enrolment: Enrolment,
        pulse: Pulse,
        claims: Claims,
        recorder: Recorder,
        work: Signal,
    ):
        self._state = state
        self._enrolment = enrolment
        self._pulse = pulse
        self._claims = claims
        self._recorder = recorder
        self._work = work
        self._notes = NoteTaker(state)

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """See ports.ControlLink; raises InvalidValue for an address that cannot be dialled."""
        return await self._enrolment.register(registration)

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """See ports.ControlLink."""
        return await self._pulse.heartbeat(heartbeat)

    async def deregister(self, deregistration: Deregistration) -> None:
        """See ports.ControlLink."""
        await self._enrolment.deregister(deregistration)

    async def report(self, report: Report) -> ReportAnswer:
        """See ports.ControlLink."""
        view = self._state.registry.get(report.incarnation)
        known = view is not None and report.api_boot == self._state.boot
        if view is not None:
            hear(self._state, view)
        if view is not None and known:
            # A slot is free when the handler has ended, not when its outcome is committed.
            view.apply_view(report.view)
            if self._state.tally.waiting_total:
                self._work.set()
        verdicts = await self._recorder.record(view, report.outcomes)
        return ReportAnswer(verdicts=verdicts, register_again=not known)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See ports.ControlLink."""
        return await self._claims.claim(claims)

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """See ports.ControlLink."""
        view = self._state.registry.get(batch.incarnation)
        if view is not None:
            hear(self._state, view)
        return await self._notes.take(batch, None if view is None else view.worker_id)

    def pokes(self, incarnation: str) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """See ports.ControlLink; the end of the stream is a hint of death."""
        return self._pulse.pokes(incarnation)

    async def workers(self) -> Sequence[FleetEntry]:
        """The fleet as this api sees it."""
        return [view.entry() for view in self._state.registry]
