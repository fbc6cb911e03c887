"""A message broker in the words of AMQP 0-9-1: what is declared in it, and what goes through it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

Argument = str | int | bool


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A durable exchange; `kind` is direct, fanout or topic."""

    name: str
    kind: str = "direct"
    arguments: Mapping[str, Argument] = {}


class BrokerQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A durable queue with its optional arguments (x-queue-type and so on)."""

    name: str
    arguments: Mapping[str, Argument] = {}


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """Messages with the routing key go from the exchange to the queue."""

    exchange: str
    queue: str
    routing_key: str


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """All that must exist in the broker, in the order in which it can be declared."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[BrokerQueue, ...]
    bindings: tuple[Binding, ...]


class Presence(StrEnum):
    """What was found of one part of a topology."""

    SAME = "same"
    CREATED = "created"
    ABSENT = "absent"
    DIFFERENT = "different"  # it exists with other arguments, which are never changed by us


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange, queue or binding as it was found; `detail` says what differs."""

    what: str
    name: str
    presence: Presence
    detail: str = ""


class QueueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that are ready for delivery, and consumers, at the moment of asking."""

    messages: int
    consumers: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to publish, persistent and mandatory; header values are texts, whole numbers."""

    exchange: str
    routing_key: str
    body: bytes
    headers: Mapping[str, Argument]
    message_id: str = ""
    type: str = ""


class PublishFate(StrEnum):
    """What is known of a published message."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"  # no queue for its routing key: the broker surely does not have it
    REFUSED = "refused"  # by a full queue; or never handed over: the broker surely has it not
    UNKNOWN = "unknown"  # no answer in time, or the connection was lost: it may have it


class LineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The connection to the broker; `reason` says why it is down or blocked. Times: monotonic."""

    connected: bool
    blocked: bool = False  # the broker takes no messages (its memory or disk alarm)
    reason: str = ""
    since: float = 0.0

    @property
    def serving(self) -> bool:
        """Whether messages can be published now."""
        return self.connected and not self.blocked
