"""What an exception that a handler raised says of its attempt."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Final, NamedTuple

from hermesd.core.errors import InvalidPayload, UnknownType
from hermesd.core.job import ErrorInfo
from hermesd.core.outcome import OutcomeKind
from hermesd.handlers.endings import Ending, Permanent, Retry, Snooze, UnstorableResult

MAX_MESSAGE_BYTES: Final = 2 * 1024
MAX_TRACEBACK_BYTES: Final = 8 * 1024
MAX_FRAMES: Final = 50
_REPLACEMENT: Final = "�"


class Verdict(NamedTuple):
    """The kind of an outcome, why, and the delay that the handler itself asked for, if any."""

    kind: OutcomeKind
    error: ErrorInfo | None
    delay_seconds: float | None = None


def verdict_of(raised: BaseException) -> Verdict:
    """The verdict on an attempt that ended with `raised`.

    Of an exception group (a trio nursery raises one) the leaves decide: a permanent one makes it
    permanent; else a plain error counts before what was raised to retry, that before a snooze, and
    of equals the longest delay. Cancellation is not judged here: who cancelled knows why.
    """
    leaf = max(_leaves(raised), key=_weight)
    message = _message(leaf)
    if isinstance(leaf, Snooze):
        error = ErrorInfo(kind="snoozed", message=message) if message else None
        return Verdict(OutcomeKind.SNOOZED, error, leaf.seconds)
    if isinstance(leaf, Retry):
        error = ErrorInfo(kind="error", message=message, traceback=_trace(raised))
        return Verdict(OutcomeKind.FAILED, error, leaf.after)
    for cause, kind in _PERMANENT_KINDS:
        if isinstance(leaf, cause):
            # A bad payload's message has it all: path and reason, and no code of the handler's ran.
            trace = "" if cause is InvalidPayload else _trace(raised)
            error = ErrorInfo(kind=kind, message=message, traceback=trace)
            return Verdict(OutcomeKind.PERMANENT, error)
    error = ErrorInfo(kind="error", message=message, traceback=_trace(raised))
    return Verdict(OutcomeKind.FAILED, error)


_PERMANENT_KINDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (UnstorableResult, "unstorable-result"),
    (Permanent, "permanent"),
    (InvalidPayload, "bad-payload"),
    (UnknownType, "unknown-type"),
)


def _leaves(raised: BaseException) -> Iterator[BaseException]:
    if isinstance(raised, BaseExceptionGroup):
        for each in raised.exceptions:
            yield from _leaves(each)
    else:
        yield raised


def _weight(leaf: BaseException) -> tuple[int, float]:
    if isinstance(leaf, tuple(cause for cause, _ in _PERMANENT_KINDS)):
        return 3, 0.0
    if isinstance(leaf, Retry):
        return 1, leaf.after or 0.0
    if isinstance(leaf, Snooze):
        return 0, leaf.seconds
    return 2, 0.0


def _message(leaf: BaseException) -> str:
    """What the handler said, or the exception as Python prints it, in one bounded text."""
    try:
        text = str(leaf)
    except Exception:  # an exception's own __str__ may be broken
        text = "(its message cannot be shown)"
    if not isinstance(leaf, (Ending, InvalidPayload, UnknownType)):
        text = f"{type(leaf).__name__}: {text}" if text else type(leaf).__name__
    return bounded_head(text, MAX_MESSAGE_BYTES)


def _trace(raised: BaseException) -> str:
    try:
        lines = traceback.format_exception(raised, limit=-MAX_FRAMES)
    except Exception:  # for example of a broken __repr__ in the chain
        return ""
    return bounded_tail("".join(lines), MAX_TRACEBACK_BYTES)


def bounded_head(text: str, max_bytes: int) -> str:
    """The start of `text`, storable: without NULs and lone surrogates, `max_bytes` of UTF-8."""
    return _storable(text[:max_bytes])[:max_bytes].decode("utf-8", "ignore")


def bounded_tail(text: str, max_bytes: int) -> str:
    """The end of `text`, storable like `bounded_head`."""
    return _storable(text[-max_bytes:])[-max_bytes:].decode("utf-8", "ignore")


def _storable(text: str) -> bytes:
    return text.replace("\0", _REPLACEMENT).encode("utf-8", "replace")
