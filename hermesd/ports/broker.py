"""Where jobs wait that no worker can take now, and the message broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from hermesd.core.broker import Found, LineStatus, Message, PublishFate, QueueFacts, Topology
from hermesd.core.job import Job, Rung
from hermesd.core.messages import JobMessage, OutcomeMessage
from hermesd.core.records import Head, QueueStatus, Waiting


class JobQueue(Protocol):
    """Where jobs wait that no worker can take now, seen from the api."""

    @property
    def rung(self) -> Rung:
        """The rung of the ladder that this queue is."""

    async def offer(self, jobs: Sequence[Job]) -> Sequence[bool]:
        """Let queued jobs wait here; False for each that the queue did not take over."""

    async def take(self, wanted: Waiting) -> Head:
        """Jobs that wait here and can be assigned by this api, best first; they stay until then."""

    async def status(self) -> QueueStatus:
        """Whether it serves, and if not, why."""


class Delivery(Protocol):
    """A message that the broker has handed out; it has it back where none of these is called.

    Each raises Unavailable where the connection that brought it is lost: then the broker delivers
    it again, to anyone.
    """

    @property
    def queue(self) -> str:
        """Where it came from."""

    @property
    def body(self) -> bytes:
        """As it was published."""

    @property
    def headers(self) -> Mapping[str, object]:
        """As they were published, with what the broker added."""

    @property
    def redelivered(self) -> bool:
        """Whether it was handed out before."""

    async def ack(self) -> None:
        """It is dealt with."""

    async def requeue(self) -> None:
        """Somebody else may have it."""

    async def reject(self) -> None:
        """Nobody can use it here: it goes where its queue's dead letters go."""


class Broker(Protocol):
    """A line to a message broker that comes back by itself; every call has a time limit.

    All raise Unavailable while the line is down, and AccessRefused where the user may not.
    """

    @property
    def status(self) -> LineStatus:
        """How the line is now."""

    async def changed(self) -> None:
        """Return when the status has changed."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[PublishFate]:
        """Publish persistently and wait for the broker's word on each; never raises Unavailable."""

    async def get(self, queue: str) -> Delivery | None:
        """The oldest message of a queue, None where there is none."""

    async def take(self, queue: str, most: int) -> Sequence[Delivery]:
        """The oldest messages of a queue, at most so many; fewer where no more come at once.

        Cheaper than as many gets, but for one or two of them.
        """

    def consume(
        self, queue: str, prefetch: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Messages as they come, at most `prefetch` unacknowledged.

        The iteration ends with Unavailable when the consumer is lost (the line, its queue or its
        channel); leaving the context gives back what was not acknowledged.
        """

    async def depth(self, queue: str) -> QueueFacts | None:
        """What the queue holds, None where it does not exist."""

    async def declare(self, topology: Topology) -> Sequence[Found]:
        """Create what is absent; what exists with other arguments is left alone and reported."""

    async def inspect(self, topology: Topology) -> Sequence[Found]:
        """The same, but nothing is created."""


class Messages(Protocol):
    """How jobs and outcomes are written into a broker's messages, and read from their bodies.

    Writing raises TooLarge, reading InvalidValue where a body is not what it should be.
    """

    def encode_job(self, message: JobMessage) -> Message:
        """Ready to be published."""

    def encode_outcome(self, message: OutcomeMessage) -> Message:
        """Ready to be published."""

    def decode_job(self, body: bytes) -> JobMessage:
        """The job's message of this body."""

    def decode_outcome(self, body: bytes) -> OutcomeMessage:
        """The outcome's message of this body."""
