"""The line to one api: register, heartbeat, obey; begin again whenever it is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import structlog
import trio

from hermesd.core.errors import HermesError
from hermesd.core.fleet import Heartbeat, HeartbeatAnswer, Load, Registration, RegistrationAnswer
from hermesd.ports import ControlLink
from hermesd.signal import Signal
from hermesd.worker.child.family import resident_bytes
from hermesd.worker.heard import HeardLink
from hermesd.worker.state import Session, WorkerState

OpenLink = Callable[[str], AbstractAsyncContextManager[ControlLink]]


@dataclass
class Retry:
    """Doubling waits between two bounds, in seconds."""

    least: float
    most: float
    next_seconds: float = 0.0

    def again(self) -> float:
        """The wait before the next try."""
        self.next_seconds = min(max(self.next_seconds * 2, self.least), self.most)
        return self.next_seconds


class Link:
    """The agent of one control endpoint; it goes on until the last outcome of a drain."""

    def __init__(self, state: WorkerState, endpoint: str, open_link: OpenLink):
        self._state = state
        self._endpoint = endpoint
        self._open_link = open_link
        self._beat = Signal()
        state.beats[endpoint] = self._beat
        self._log: structlog.typing.FilteringBoundLogger = state.log.bind(endpoint=endpoint)
        self.registered = trio.Event()

    async def run(self) -> None:
        """Keep registered and heartbeating, in any start order, for ever."""
        control = self._state.config.control
        async with self._open_link(self._endpoint) as line:
            link = HeardLink(line, self._state.answered)
            while True:
                session = await self._register(
                    link, Retry(control.retry_min_seconds, control.retry_max_seconds)
                )
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._listen, link, self._state.incarnation)
                    await self._heartbeats(session)
                    nursery.cancel_scope.cancel()

    async def _register(self, link: ControlLink, retry: Retry) -> Session:
        """Register until it succeeds; says once that it waits, and once that it is done."""
        state, waiting = self._state, False
        while True:
            incarnation = state.incarnation
            try:
                answer = await link.register(self._registration())
            except HermesError as error:
                if not waiting:
                    self._log.warning("waiting for the api", why=error.detail)
                waiting = True
                await trio.sleep(retry.again())
                continue
            if answer.fenced:
                state.reincarnate(incarnation)
                continue
            if state.incarnation != incarnation:
                continue
            state.leases.revoke(answer.invalid)
            session = self._session(link, answer)
            state.sessions[answer.api_name] = session
            self._log.info("registered", api=answer.api_name, worker_id=state.worker_id)
            self.registered.set()
            state.outcomes.set()
            return session

    def _session(self, link: ControlLink, answer: RegistrationAnswer) -> Session:
        """The session with this life of the api: its numbers go on where it was known before."""
        before = self._state.sessions.get(answer.api_name)
        if before is not None and before.api_boot == answer.api_boot:
            before.link, before.live = link, True
            return before
        return Session(
            link=link,
            api_name=answer.api_name,
            api_boot=answer.api_boot,
            store_id=answer.store_id,
            heartbeat_seconds=answer.heartbeat_seconds,
        )

    async def _heartbeats(self, session: Session) -> None:
        """Heartbeat until the session is over."""
        state = self._state
        fenced = 0
        while session.live and state.sessions.get(session.api_name) is session:
            incarnation = state.incarnation
            try:
                answer = await session.link.heartbeat(self._heartbeat(session, fenced))
            except HermesError as error:
                self._log.warning("heartbeat failed", why=error.detail)
                session.live = False
                # An api that takes a Register and no heartbeat is not asked without a pause.
                await trio.sleep(state.config.control.retry_min_seconds)
                return
            if answer.fenced:
                state.reincarnate(incarnation)
            if answer.fenced or answer.register_again:
                session.live = False
                return
            if self._obey(session, answer, fenced):
                fenced = session.fence
                continue
            await self._beat.wait(session.heartbeat_seconds)

    def _obey(self, session: Session, answer: HeartbeatAnswer, fenced: int) -> bool:
        """Carry out orders; True where the api waits for the next heartbeat."""
        self._state.leases.cancel(answer.cancels)
        if answer.drain:
            self._state.drain_asked.set()
        session.fence = max(session.fence, answer.fence_batch)
        return session.fence > fenced

    async def _listen(self, link: ControlLink, incarnation: str) -> None:
        """Heartbeat when poked; a lost stream is opened again."""
        retry = Retry(0.2, self._state.config.control.retry_max_seconds)
        while True:
            try:
                async with link.pokes(incarnation) as pokes:
                    async for _ in pokes:
                        retry.next_seconds = 0.0
                        self._beat.set()
            except HermesError as error:
                self._log.debug("poke stream lost", why=error.detail)
            await trio.sleep(retry.again())

    def _registration(self) -> Registration:
        state = self._state
        return Registration(
            worker_id=state.worker_id,
            incarnation=state.incarnation,
            address=state.address,
            machine=state.machine,
            version=state.version,
            slots=state.slots.totals,
            types=tuple(state.catalogue.types()),
            queues=state.config.worker.queues,
            held=state.leases.held(),
            labels=state.config.worker.labels,
        )

    def _heartbeat(self, session: Session, fenced: int) -> Heartbeat:
        state = self._state
        session.heartbeat_number += 1
        return Heartbeat(
            incarnation=state.incarnation,
            api_boot=session.api_boot,
            number=session.heartbeat_number,
            view=state.view(session),
            held=state.leases.held(),
            load=load_of(state),
            draining=state.draining,
            fenced_batch=fenced,
        )


def load_of(state: WorkerState) -> Load:
    """How this process is doing; `cpu` is the machine's run queue per core (getloadavg(3))."""
    return Load(
        cpu=round(os.getloadavg()[0] / (os.cpu_count() or 1), 3),
        loop_lag_seconds=state.loop_lag_seconds,
        rss_bytes=resident_bytes(os.getpid()),
        running=len(state.leases.running) + len(state.leases.unclaimed),
        unreported=len(state.leases.unsettled) + len(state.leases.unpublished),
    )
