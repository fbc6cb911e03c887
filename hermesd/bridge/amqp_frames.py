"""Values into frames: checked, and written by hand where that is done once a message."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from pamqp import commands, constants
from pamqp.base import Frame
from pamqp.frame import marshal

from hermesd.core.amqp_url import MAX_SHORT_BYTES
from hermesd.core.broker import Message
from hermesd.core.errors import InvalidValue

PERSISTENT: Final = 2
ENVELOPE_BYTES: Final = 8
_HEAD: Final = struct.Struct(">BHI")
_END: Final = b"\xce"
_PUBLISH: Final = struct.Struct(">I")
_HEADER: Final = struct.Struct(">HHQ")
# class 60, method 80 (ack) or 120 (nack): the tag, and bits of which 1 is multiple, 2 is requeue
_SETTLE: Final = struct.Struct(">BHIHHQBB")
_ACK: Final = 80
_NACK: Final = 120
_BASIC: Final = 60
_MULTIPLE: Final = 1
_REQUEUE: Final = 2


class Written(NamedTuple):
    """A message as the payloads of its frames, for any channel."""

    method: bytes
    header: bytes
    body: bytes

    @property
    def size(self) -> int:
        """In bytes, without the envelopes."""
        return len(self.method) + len(self.header) + len(self.body)


def written(message: Message, correlation_id: str) -> Written:
    """The message, persistent and mandatory; InvalidValue where it does not fit the protocol."""
    try:
        publish = commands.Basic.Publish(
            exchange=message.exchange, routing_key=message.routing_key, mandatory=True
        )
        properties = commands.Basic.Properties(
            headers=dict(message.headers),
            delivery_mode=PERSISTENT,
            correlation_id=correlation_id,
            message_id=message.message_id or None,
            message_type=message.type or None,
        )
        return Written(
            _PUBLISH.pack(publish.index) + publish.marshal(),
            _HEADER.pack(_BASIC, 0, len(message.body)) + properties.marshal(),
            message.body,
        )
    except (ValueError, TypeError, struct.error) as error:
        raise InvalidValue(f"AMQP cannot carry this message: {error}") from None


def message_frames(message: Written, channel: int, max_frame_bytes: int) -> bytes:
    """The message for a channel, its body in as many frames as it takes."""
    method, header, body = message
    parts = [
        _HEAD.pack(constants.FRAME_METHOD, channel, len(method)),
        method,
        _END,
        _HEAD.pack(constants.FRAME_HEADER, channel, len(header)),
        header,
        _END,
    ]
    step = max_frame_bytes - ENVELOPE_BYTES
    for start in range(0, len(body), step):
        part = body[start : start + step]
        parts += (_HEAD.pack(constants.FRAME_BODY, channel, len(part)), part, _END)
    return b"".join(parts)


def ack_frame(channel: int, tag: int, *, multiple: bool = False) -> bytes:
    """Basic.Ack of one delivery, or of all up to it, of 13 bytes and the envelope."""
    bits = _MULTIPLE if multiple else 0
    return _SETTLE.pack(constants.FRAME_METHOD, channel, 13, _BASIC, _ACK, tag, bits, 0xCE)


def nack_frame(channel: int, tag: int, *, requeue: bool) -> bytes:
    """Basic.Nack of one delivery."""
    bits = _REQUEUE if requeue else 0
    return _SETTLE.pack(constants.FRAME_METHOD, channel, 13, _BASIC, _NACK, tag, bits, 0xCE)


def checked_request(make: Callable[[], Frame]) -> Frame:
    """A request of values that may not fit the protocol's fields: InvalidValue then."""
    try:
        request = make()
        marshal(request, 1)
    except (ValueError, TypeError, struct.error) as error:
        raise InvalidValue(f"AMQP cannot carry this: {error}") from None
    return request


def check_queue_name(name: str) -> None:
    """Raise InvalidValue where no queue has this name; an empty one would mean another queue."""
    try:
        commands.Queue.Declare(queue=name, passive=True)
        fits = 0 < len(name.encode()) <= MAX_SHORT_BYTES
    except ValueError:
        fits = False
    if not fits:
        rule = f"1 to {MAX_SHORT_BYTES} letters, digits, blanks and - _ . : @ # , / +"
        raise InvalidValue(f"a queue's name must have from {rule}")
