"""The trace that a job belongs to, as its client says (W3C Trace Context).

It is kept and sent as one text: the traceparent, and after a space the tracestate if there is one.
Source: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

MAX_STATE_CHARS: Final = 512

# Version, trace id, parent id, flags; a later version may have more after them.
_PARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-[!-~]*)?"
)
_STATE: Final = re.compile(r"[ -~\t]+")
_MAX_PARENT_CHARS: Final = 256


class InChild(StrEnum):
    """What is done about the traces of handlers in child processes."""

    NOT = ""
    CONTINUED = "continued"  # what a handler traces belongs to its attempt, and it sends it itself
    EXPORTED = "exported"  # ... and it is sent for it, in the way of the worker


class TraceContext(NamedTuple):
    """Both headers; `state` may be empty."""

    parent: str
    state: str


def context_text(parent: str, state: str = "") -> str | None:
    """The one text; None for a traceparent that is none, which the standard wants ignored."""
    found = _PARENT.fullmatch(parent) if len(parent) <= _MAX_PARENT_CHARS else None
    if found is None or (parent.startswith("00") and found["more"] is not None):
        return None
    state = state.strip()
    if len(state) > MAX_STATE_CHARS or not _STATE.fullmatch(state):
        return parent
    return f"{parent} {state}"


def trace_id_of(context: str) -> str:
    """The id that all spans of the trace share, 32 hexadecimal digits."""
    return context[3:35]


def parts_of(context: str | None) -> TraceContext:
    """The one text taken apart; empty where there is none."""
    parent, _, state = (context or "").partition(" ")
    return TraceContext(parent, state)
