"""The line between a worker and an api, from both ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

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


class ControlLink(Protocol):
    """One worker's line to one api.

    Every call has a time limit and raises Unavailable when the api cannot be reached.
    """

    @property
    def endpoint(self) -> str:
        """host:port of the api's control service."""

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """Announce an incarnation, what it can run, and the leases it holds."""

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Say what is free and held; the answer carries orders until they are obeyed."""

    async def deregister(self, deregistration: Deregistration) -> None:
        """Leave for good; the incarnation is fenced."""

    async def report(self, report: Report) -> ReportAnswer:
        """Hand over outcomes with a fresh view of the slots; one verdict each."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """Ask for jobs that were pulled from the broker, at most 200; idempotent, an answer each.

        InvalidValue where one token is none at all, TooLarge where the answer would be.
        """

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """Tell what running jobs tell; False for each whose lease is not valid.

        Only for an api whose registration answer has `takes_notes`.
        """

    def pokes(self, incarnation: str) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """Signals to heartbeat now; losing the stream loses nothing."""


class ControlService(Protocol):
    """The api's side of the control line, called by the gRPC server for every worker."""

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """See ControlLink.register."""

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """See ControlLink.heartbeat."""

    async def deregister(self, deregistration: Deregistration) -> None:
        """See ControlLink.deregister."""

    async def report(self, report: Report) -> ReportAnswer:
        """See ControlLink.report."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See ControlLink.claim; all are by one worker on one store."""

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """See ControlLink.note."""

    def pokes(self, incarnation: str) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """One item for each poke; leaving the context means that the worker's stream closed."""

    async def workers(self) -> Sequence[FleetEntry]:
        """The fleet as this api sees it."""


class Resolver(Protocol):
    """What names mean now."""

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """ADDRESS:PORT for each address of the host, each once.

        Raises Unavailable where the name has none, or nobody can be asked.
        """
