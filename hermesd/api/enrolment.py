"""Workers come and go: registrations, and the leases that a worker brings along."""

from __future__ import annotations

from collections.abc import Sequence

from hermesd.api.catalogue import Catalogue
from hermesd.api.dispatch import DispatchHooks
from hermesd.api.hold import adopt, is_with
from hermesd.api.lines import Lines
from hermesd.api.path import host_and_port
from hermesd.api.pulse import hear
from hermesd.api.reap import Reaper
from hermesd.api.state import ApiState
from hermesd.core.breaker import Breaker
from hermesd.core.events import EventKind
from hermesd.core.fleet import Deregistration, Incarnation, Registration, RegistrationAnswer
from hermesd.core.job import Job, Token
from hermesd.core.workerview import WorkerView


class Enrolment:
    """Enters workers into the registry, and opens a line to each."""

    def __init__(
        self,
        state: ApiState,
        catalogue: Catalogue,
        lines: Lines,
        hooks: DispatchHooks,
        reaper: Reaper,
    ):
        self._state = state
        self._catalogue = catalogue
        self._lines = lines
        self._hooks = hooks
        self._reaper = reaper

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """See ports.ControlLink; raises InvalidValue for an address that cannot be dialled."""
        host_and_port(registration.address)
        incarnation = registration.incarnation
        before = self._state.registry.get(incarnation)
        if before is not None:
            hear(self._state, before)
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
            hear(self._state, view)
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
