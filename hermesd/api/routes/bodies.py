"""Request bodies: read whole, checked to be UTF-8, decoded into structs with clear errors."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from hermesd.core.errors import InvalidValue, MalformedJson, Rejected
from hermesd.http.asgi import Receive

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_AT_PATH: Final = re.compile(r"^(?P<reason>.*?) - at `(?:key` in `)?\$(?P<path>.*)`$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MAX_REASON_CHARS: Final = 300


class Decoder(Protocol[T_co]):
    """msgspec.json.Decoder, as far as it is used here."""

    def decode(self, buf: bytes | msgspec.Raw, /) -> T_co:
        """The value that the JSON text stands for."""


class Fault(NamedTuple):
    """Where a value is at fault (RFC 6901 pointer) and why."""

    pointer: str
    reason: str


async def read_body(receive: Receive) -> bytes:
    """The whole body; the server bounds it. Raises Rejected where the client left meanwhile."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        return whole
    chunks: list[bytes] = []
    while message["type"] == "http.request":
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
    raise Rejected("the client left before its body was complete")


async def read_optional(receive: Receive, shape: type[T]) -> T:
    """The body as a `shape`, whose members all have defaults; without a body those count."""
    body = await read_body(receive)
    return decode_body(msgspec.json.Decoder(shape), body or b"{}")


def decode_body(decoder: Decoder[T], body: bytes) -> T:
    """`body` as the decoder's type.

    Raises MalformedJson with the byte position (400) where it is no JSON object, InvalidValue
    with `errors` (422) where a member is unknown, missing or of another type. Of members that
    occur twice the last one counts (RFC 8259 4 leaves it open).
    """
    check_utf8(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise shape_error(error) from error
    except msgspec.DecodeError as error:
        raise malformed(error, len(body)) from error
    except RecursionError as error:
        raise MalformedJson("the JSON is nested too deep") from error


def check_utf8(body: bytes) -> None:
    """Raise MalformedJson with the position of the first byte that is no UTF-8."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise MalformedJson(
            f"the body is not UTF-8: {error.reason} (byte {error.start})", position=error.start
        ) from error


def malformed(error: msgspec.DecodeError, length: int) -> MalformedJson:
    """msgspec's syntax error, with the byte position as `position`."""
    text = str(error)
    found = re.search(r"\(byte (\d+)\)$", text)
    if found:
        return MalformedJson(text, position=int(found[1]))
    return MalformedJson(f"{text} (byte {length})", position=length)


def shape_error(error: msgspec.ValidationError) -> InvalidValue | MalformedJson:
    """A body that is JSON but not of our shape; `errors` has pointer and reason."""
    fault = fault_of(error)
    if not fault.pointer and fault.reason.startswith("Expected `object`"):
        return MalformedJson(f"the body must be a JSON object: {fault.reason}")
    where = f" (at {fault.pointer})" if fault.pointer else ""
    return InvalidValue(fault.reason + where, errors=[fault._asdict()])


def fault_of(error: msgspec.ValidationError) -> Fault:
    """msgspec's "reason - at `$.a[0]`" as a pointer and a reason."""
    text = str(error)
    found = _AT_PATH.match(text)
    reason = (found["reason"] if found else text)[:_MAX_REASON_CHARS]
    steps = [name or index for name, index in _STEP.findall(found["path"])] if found else []
    unknown = _UNKNOWN.match(reason)
    if unknown:
        steps.append(unknown["name"])
    escaped = (step.replace("~", "~0").replace("/", "~1") for step in steps)
    return Fault("".join(f"/{step}" for step in escaped), reason)
