"""A control line without a network: a worker's calls go straight to an api's service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from hermesd.core.errors import Unavailable
from hermesd.core.fleet import (
    Deregistration,
    Heartbeat,
    HeartbeatAnswer,
    Registration,
    RegistrationAnswer,
)
from hermesd.core.notes import NoteBatch
from hermesd.core.records import Claim, ClaimAnswer, Report, ReportAnswer
from hermesd.ports import ControlService

AskedT = TypeVar("AskedT")
AnswerT = TypeVar("AnswerT")


class DirectLink:
    """ControlLink to a ControlService in the same event loop, which a test can cut.

    `service` may be replaced: the api was restarted. While `cut`, nothing arrives; the next
    `lost_answers` calls arrive, and their answers do not. What was called is kept in `calls`.
    """

    def __init__(self, service: ControlService, endpoint: str = "api.test:1") -> None:
        self.service = service
        self.cut = False
        self.lost_answers = 0
        self.calls: list[str] = []
        self._endpoint = endpoint
        self._streams: set[trio.CancelScope] = set()

    @property
    def endpoint(self) -> str:
        """As it was made."""
        return self._endpoint

    def hang_up(self) -> None:
        """Cut the line, the poke streams included."""
        self.cut = True
        for stream in self._streams:
            stream.cancel()

    @asynccontextmanager
    async def open(self, endpoint: str) -> AsyncIterator[DirectLink]:
        """What a worker opens its link with; there is only this one."""
        await trio.lowlevel.checkpoint()
        yield self

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """See ControlLink."""
        return await self._call("register", self.service.register, registration)

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """See ControlLink."""
        return await self._call("heartbeat", self.service.heartbeat, heartbeat)

    async def deregister(self, deregistration: Deregistration) -> None:
        """See ControlLink."""
        await self._call("deregister", self.service.deregister, deregistration)

    async def report(self, report: Report) -> ReportAnswer:
        """See ControlLink."""
        return await self._call("report", self.service.report, report)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See ControlLink."""
        return await self._call("claim", self.service.claim, claims)

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """See ControlLink."""
        return await self._call("note", self.service.note, batch)

    @asynccontextmanager
    async def pokes(self, incarnation: str) -> AsyncIterator[AsyncIterator[None]]:
        """See ControlLink."""
        await trio.lowlevel.checkpoint()
        if self.cut:
            raise Unavailable("the line is cut")
        with trio.CancelScope() as scope:
            self._streams.add(scope)
            try:
                async with self.service.pokes(incarnation) as pokes:
                    yield pokes
            finally:
                self._streams.discard(scope)
        if scope.cancelled_caught:
            raise Unavailable("the line was cut")

    async def _call(
        self, name: str, call: Callable[[AskedT], Awaitable[AnswerT]], asked: AskedT
    ) -> AnswerT:
        await trio.lowlevel.checkpoint()
        self.calls.append(name)
        if self.cut:
            raise Unavailable("the line is cut")
        answer = await call(asked)
        if self.lost_answers or self.cut:
            self.lost_answers = max(self.lost_answers - 1, 0)
            raise Unavailable("the answer was lost")
        return answer
