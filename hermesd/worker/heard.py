"""A line to an api that tells when the api has answered anything at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from hermesd.core.errors import HermesError, Unavailable
from hermesd.core.fleet import (
    Deregistration,
    Heartbeat,
    HeartbeatAnswer,
    Registration,
    RegistrationAnswer,
)
from hermesd.core.notes import NoteBatch
from hermesd.core.records import Claim, ClaimAnswer, Report, ReportAnswer
from hermesd.ports import ControlLink

AnswerT = TypeVar("AnswerT")


class HeardLink:
    """See ports.ControlLink. A refusal is an answer too, but for the plain Unavailable."""

    def __init__(self, link: ControlLink, heard: Callable[[], None]):
        self._link = link
        self._heard = heard

    @property
    def endpoint(self) -> str:
        """See ControlLink.endpoint."""
        return self._link.endpoint

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """See ControlLink.register."""
        return await self._answer(self._link.register(registration))

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """See ControlLink.heartbeat."""
        return await self._answer(self._link.heartbeat(heartbeat))

    async def deregister(self, deregistration: Deregistration) -> None:
        """See ControlLink.deregister."""
        await self._answer(self._link.deregister(deregistration))

    async def report(self, report: Report) -> ReportAnswer:
        """See ControlLink.report."""
        return await self._answer(self._link.report(report))

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See ControlLink.claim."""
        return await self._answer(self._link.claim(claims))

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """See ControlLink.note."""
        return await self._answer(self._link.note(batch))

    def pokes(self, incarnation: str) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """See ControlLink.pokes."""
        return self._link.pokes(incarnation)

    async def _answer(self, call: Awaitable[AnswerT]) -> AnswerT:
        try:
            answer = await call
        except HermesError as error:
            if type(error) is not Unavailable:
                self._heard()
            raise
        self._heard()
        return answer
