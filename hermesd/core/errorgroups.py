"""What errors have in common: the first line of the message, with numbers and ids as `#`.

It is made from the beginning of the error as the store keeps it, a JSON text, so that no database
need read whole tracebacks, and every store makes the same of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from hermesd.core.job import ErrorInfo
from hermesd.core.searches import ErrorGroup

HEAD_CHARS: Final = 1000  # of the JSON text
MAX_RAW_CHARS: Final = 400
MAX_CHARS: Final = 200

# Ids and numbers, however they are written: what tells one job from another. One or two digits at
# the end of a word are part of it: base64, v2.
_VARYING: Final = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|0x[0-9a-fA-F]+"
    r"|\b(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b"
    r"|(?<![a-zA-Z0-9])[0-9]+"
    r"|(?<=[a-zA-Z])[0-9]{3,}"
)
# msgspec writes an ErrorInfo's members in this order, and leaves out an empty message.
_HEAD: Final = re.compile(
    r'\{"kind":"(?P<kind>(?:[^"\\]|\\.)*)"(?:,"message":"(?P<message>(?:[^"\\]|\\u.{4}|\\[^u])*))?',
    re.DOTALL,
)


class Kinship(NamedTuple):
    """What the errors of a group share: the kind, and the first line without what varies."""

    kind: str
    error: str


class Bunch(msgspec.Struct, frozen=True):
    """Failed jobs of one type whose errors begin alike; times are UTC seconds."""

    type: str
    head: str
    count: int
    newest: float
    oldest: float
    newest_id: str


def kinship(head: str) -> Kinship:
    """Of an error that is kept as a JSON text beginning with `head`, its first HEAD_CHARS."""
    found = _HEAD.match(head[:HEAD_CHARS])
    if found is None:
        return Kinship("", "")
    message = _decoded(found["message"] or "")
    return Kinship(_decoded(found["kind"]), grouped(message))


def grouped(message: str) -> str:
    """The first line of a message as its group has it."""
    first = message.partition("\n")[0][:MAX_RAW_CHARS].rstrip()
    return _VARYING.sub("#", first)[:MAX_CHARS]


def head_of(error: ErrorInfo) -> str:
    """The beginning of the JSON text that is kept of an error."""
    return msgspec.json.encode(error).decode()[:HEAD_CHARS]


def beginning(kind: str, error: str) -> str:
    """How the JSON text of every error of a group begins: a coarse sieve for what may be in it."""
    literal = error.partition("#")[0]
    # What was cut off or stripped at the end of the line is not in it, nor need it be.
    message = f',"message":{_encoded(literal)[:-1]}' if literal else ""
    return f'{{"kind":{_encoded(kind)}{message}'


def merged(bunches: Iterable[Bunch]) -> list[ErrorGroup]:
    """The groups that the bunches make up, most jobs first, then the one that failed last."""
    found: dict[tuple[str, Kinship], ErrorGroup] = {}
    for bunch in bunches:
        kin = kinship(bunch.head)
        known = found.get((bunch.type, kin))
        found[bunch.type, kin] = ErrorGroup(
            type=bunch.type,
            error_kind=kin.kind,
            error=kin.error,
            count=bunch.count + (known.count if known else 0),
            newest=max(bunch.newest, known.newest) if known else bunch.newest,
            oldest=min(bunch.oldest, known.oldest) if known else bunch.oldest,
            newest_id=max(bunch.newest_id, known.newest_id) if known else bunch.newest_id,
        )
    return sorted(found.values(), key=lambda group: (-group.count, -group.newest, group.newest_id))


def _decoded(text: str) -> str:
    return msgspec.json.decode(f'"{text}"', type=str)


def _encoded(text: str) -> str:
    return msgspec.json.encode(text).decode()
