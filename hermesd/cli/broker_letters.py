"""What a message in the broker's dead-letter queue says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from hermesd.core.amqp_names import OUTCOMES_KEY, Names, band_of, routing_key
from hermesd.core.broker import Argument, Message
from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from hermesd.ports import Delivery
from hermesd.queues.messages import JOB, OUTCOME, MessageCodec, Stamp, Undecodable, stamp_of

# What the broker adds when a message dies or is delivered again; it does so anew after a requeue.
_BROKERS_OWN: Final = (
    "x-death",
    "x-first-death-",
    "x-last-death-",
    "x-delivery-count",
    "x-acquired-count",
)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message; what it does not tell is None.

    `id` is JOB.LEASE as it was published, or made of the body where no job is named. `routing_key`
    is the one it was published under at first, to which it can go back.
    """

    id: str
    where: str = "broker"
    store_id: str | None = None
    job_id: str | None = None
    lease: int | None = None
    type: str | None = None
    queue: str | None = None
    routing_key: str | None = None
    died_at: datetime | None = None
    reason: str = ""
    size: int = 0


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages: by their own or their jobs' ids, by type and queue, or every one."""

    ids: Sequence[str] = ()
    type: str | None = None
    queue: str | None = None
    everything: bool = False

    def has(self, letter: DeadLetter) -> bool:
        """Whether the message is meant."""
        if self.everything:
            return True
        if self.ids:
            return letter.id in self.ids or letter.job_id in self.ids
        criteria = ((self.type, letter.type), (self.queue, letter.queue))
        chosen = [(wanted, found) for wanted, found in criteria if wanted is not None]
        return bool(chosen) and all(wanted == found for wanted, found in chosen)


class LetterReader:
    """Reads the messages of one namespace."""

    def __init__(self, names: Names, max_message_bytes: int) -> None:
        self._exchange = names.exchange
        self._codec = MessageCodec(names.exchange, max_message_bytes)

    def letter(self, delivery: Delivery) -> DeadLetter:
        """What is known of it."""
        headers, body = delivery.headers, delivery.body
        deaths = _deaths(headers)
        key = self._routing_key(headers, deaths)
        stamp = _stamp(headers)
        return DeadLetter(
            id=_message_id(stamp) if stamp else f"body-{sha256(body).hexdigest()[:16]}",
            store_id=stamp.store_id if stamp else None,
            job_id=stamp.token.job_id if stamp else None,
            lease=stamp.token.lease if stamp else None,
            type=_text(headers.get("hermes-type")),
            queue=_text(headers.get("hermes-queue")),
            routing_key=key,
            died_at=_moment(deaths[0].get("time")) if deaths else None,
            reason="; ".join(filter(None, (self._fault(key, body), _path(deaths)))),
            size=len(body),
        )

    def again(self, delivery: Delivery, key: str) -> Message:
        """The message as it can be published under `key`.

        Its headers are without the broker's own, and without values that a `Message` cannot have.
        """
        stamp = _stamp(delivery.headers)
        headers: dict[str, Argument] = {
            name: value
            for name, value in delivery.headers.items()
            if isinstance(value, str | int) and not name.startswith(_BROKERS_OWN)
        }
        return Message(
            exchange=self._exchange,
            routing_key=key,
            body=delivery.body,
            headers=headers,
            message_id=_message_id(stamp) if stamp else "",
            type=OUTCOME if key == OUTCOMES_KEY else JOB,
        )

    def _routing_key(
        self, headers: Mapping[str, object], deaths: Sequence[Mapping[str, Any]]
    ) -> str | None:
        """By its first death after it was published here, else by its headers."""
        for death in reversed(deaths):
            keys = death.get("routing-keys")
            if death.get("exchange") == self._exchange and isinstance(keys, list) and keys:
                return _text(keys[0])
        queue, priority = headers.get("hermes-queue"), headers.get("hermes-priority")
        if not isinstance(queue, str) or not isinstance(priority, int):
            return None
        known = LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY
        return routing_key(queue, band_of(priority)) if known else None

    def _fault(self, key: str | None, body: bytes) -> str:
        """Why nobody can read it; empty where its body is in order."""
        try:
            if key == OUTCOMES_KEY:
                self._codec.decode_outcome(body)
            else:
                self._codec.decode_job(body)
        except Undecodable as error:
            return error.detail
        return ""


def _stamp(headers: Mapping[str, object]) -> Stamp | None:
    try:
        return stamp_of(headers)
    except Undecodable:
        return None


def _message_id(stamp: Stamp) -> str:
    return f"{stamp.token.job_id}.{stamp.token.lease}"


def _deaths(headers: Mapping[str, object]) -> list[Mapping[str, Any]]:
    """The header x-death, a table for each queue that it died in, the last one first."""
    found = headers.get("x-death")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _path(deaths: Sequence[Mapping[str, Any]]) -> str:
    steps = [f"{death.get('reason')} in {death.get('queue')}" for death in deaths]
    return ", after ".join(steps)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
