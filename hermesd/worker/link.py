"""The line to one api: register, heartbeat, obey; begin again whenever it is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

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
# Another link leads to the same api: how often to look whether this one still does.
STANDBY_SECONDS: Final = 30.0


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
    """The agent of one address of an api; it goes on until the last outcome of a drain.

    `lost` is told whenever the api there does not answer.
    """

    def __init__(
        self, state: WorkerState, endpoint: str, open_link: OpenLink, lost: Callable[[], None]
    ):
        self._state = state
        self._endpoint = endpoint
        self._open_link = open_link
        self._lost = lost
        self._beat = Signal()
        self._log: structlog.typing.FilteringBoundLogger = state.log.bind(endpoint=endpoint)

    async def run(self) -> None:
        """Keep registered and heartbeating, in any start order, until it is cancelled."""
        self._state.beats[self._endpoint] = self._beat
        self._state.turns[self._endpoint] = 0
        try:
            async with self._open_link(self._endpoint) as line:
                await self._serve(HeardLink(line, self._state.answered))
        finally:
            del self._state.beats[self._endpoint]
            del self._state.turns[self._endpoint]

    async def _serve(self, link: ControlLink) -> None:
        control = self._state.config.control
        try:
            while True:
                session = await self._register(
                    link, Retry(control.retry_min_seconds, control.retry_max_seconds)
                )
                if session.link is not link:
                    await self._stand_by(session)
                    continue
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._listen, link, self._state.incarnation)
                    await self._heartbeats(session, link)
                    nursery.cancel_scope.cancel()
                await self._given_way(session)
        finally:
            self._forget(link)

    async def _stand_by(self, session: Session) -> None:
        """Another link leads to the same life of the same api: let that one do the work."""
        with trio.move_on_after(STANDBY_SECONDS):
            while session.live and self._state.sessions.get(session.api_name) is session:
                await self._beat.wait()

    async def _given_way(self, session: Session) -> None:
        """Another link has registered with an api of the same name: its next life, most likely.

        If they are two apis of one name the links take turns; without a pause they would do so as
        fast as they can.
        """
        successor = self._state.sessions.get(session.api_name)
        if successor is not None and successor is not session:
            session.live = False
            self._log.info("another link has an api of this name", api=session.api_name)
            await trio.sleep(self._state.config.control.retry_max_seconds)

    def _forget(self, link: ControlLink) -> None:
        """The link ends: what is dispatched through its session is refused from here on."""
        for name, session in list(self._state.sessions.items()):
            if session.link is link:
                session.live = False
                del self._state.sessions[name]
                self._state.beat_now()

    async def _register(self, link: ControlLink, retry: Retry) -> Session:
        """Register until it succeeds; says once that it waits, and once that it is done.

        The session may be another link's, if that leads to the same life of the same api.
        """
        state, waiting = self._state, False
        while True:
            self._turn()
            incarnation, number = state.incarnation, state.registration
            try:
                answer = await link.register(self._registration())
            except HermesError as error:
                if not waiting:
                    self._log.warning("waiting for the api", why=error.detail)
                waiting = True
                self._lost()
                await trio.sleep(retry.again())
                continue
            if answer.fenced:
                state.reincarnate(incarnation)
                continue
            if state.incarnation != incarnation:
                continue
            state.leases.revoke(answer.invalid)
            session = self._session(link, answer)
            if session.link is link:
                session.registration = number
                state.sessions[answer.api_name] = session
                state.learn_paused(session, answer.paused_queues)
                self._log.info("registered", api=answer.api_name, worker_id=state.worker_id)
                state.outcomes.set()
            return session

    def _session(self, link: ControlLink, answer: RegistrationAnswer) -> Session:
        """The session with this life of the api: its numbers go on where it was known before.

        One that lives on another link is left to that.
        """
        before = self._state.sessions.get(answer.api_name)
        if before is not None and before.api_boot == answer.api_boot:
            if not before.live:
                before.link, before.live = link, True
            return before
        return Session(
            link=link,
            api_name=answer.api_name,
            api_boot=answer.api_boot,
            store_id=answer.store_id,
            heartbeat_seconds=answer.heartbeat_seconds,
            takes_notes=answer.takes_notes,
        )

    async def _heartbeats(self, session: Session, link: ControlLink) -> None:
        """Heartbeat until the session is over, or is another link's."""
        state = self._state
        fenced = 0
        while self._has(session, link):
            self._turn()
            incarnation = state.incarnation
            try:
                if session.registration != state.registration and not await self._renew(session):
                    self._end(session, link)
                    return
                answer = await link.heartbeat(self._heartbeat(session, fenced))
            except HermesError as error:
                self._log.warning("heartbeat failed", why=error.detail)
                self._end(session, link)
                self._lost()
                # An api that takes a Register and no heartbeat is not asked without a pause.
                await trio.sleep(state.config.control.retry_min_seconds)
                return
            if answer.fenced:
                state.reincarnate(incarnation)
            if answer.fenced or answer.register_again:
                self._end(session, link)
                return
            if self._obey(session, answer, fenced):
                fenced = session.fence
                continue
            await self._beat.wait(session.heartbeat_seconds)

    async def _renew(self, session: Session) -> bool:
        """Register anew what has changed, under the same session; False where that is over."""
        state, incarnation, number = self._state, self._state.incarnation, self._state.registration
        answer = await session.link.register(self._registration())
        if answer.fenced:
            state.reincarnate(incarnation)
            return False
        if state.incarnation != incarnation or answer.api_boot != session.api_boot:
            return False
        state.leases.revoke(answer.invalid)
        session.registration = number
        self._log.info("registered anew", api=session.api_name, worker_id=state.worker_id)
        return True

    def _turn(self) -> None:
        """What the daemon's self-check sees: this link goes on."""
        self._state.turns[self._endpoint] += 1

    def _has(self, session: Session, link: ControlLink) -> bool:
        current = self._state.sessions.get(session.api_name)
        return session.live and session.link is link and current is session

    def _end(self, session: Session, link: ControlLink) -> None:
        """The session is over, unless another link has it by now; whoever stands by is woken."""
        if session.link is link:
            session.live = False
            self._state.beat_now()

    def _obey(self, session: Session, answer: HeartbeatAnswer, fenced: int) -> bool:
        """Carry out orders; True where the api waits for the next heartbeat."""
        self._state.leases.cancel(answer.cancels)
        if answer.drain:
            self._state.drain_asked.set()
        if answer.order is not None and answer.order.id != session.order_taken:
            self._state.obey(session, answer.order)
        self._state.learn_paused(session, answer.paused_queues)
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
            pulls=state.broker is not None,
            drain_seconds=state.config.drain.seconds,
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
            paused=state.standing.paused,
            since=state.standing.since,
            reason=state.standing.reason,
            order_taken=session.order_taken,
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
