"""Core errors as gRPC statuses and back (numbers of google.rpc.Code; no gRPC library here).

A status number alone does not tell, say, TooLarge from QueueFull, so the error's slug goes along
in the trailing metadata; an api that sends none (or a proxy's answer) is read by the number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from hermesd.core.errors import (
    Broken,
    Conflict,
    ForeignOrigin,
    HermesError,
    InvalidValue,
    NotFound,
    QueueFull,
    Rejected,
    TooLarge,
    Unavailable,
)
from hermesd.wire.fields import sendable

ERROR_KEY: Final = "hermes-error"
RETRY_KEY: Final = "retry-after"
MAX_DETAIL_LENGTH: Final = 1_000
MAX_RETRY_SECONDS: Final = 3600.0

_INTERNAL, _DATA_LOSS, _RESOURCE_EXHAUSTED = 13, 15, 8
_BY_STATUS: Final[Mapping[int, type[HermesError]]] = {
    3: InvalidValue,  # INVALID_ARGUMENT
    5: NotFound,
    6: Conflict,  # ALREADY_EXISTS
    7: ForeignOrigin,  # PERMISSION_DENIED
    9: Conflict,  # FAILED_PRECONDITION
    11: InvalidValue,  # OUT_OF_RANGE
    _INTERNAL: Broken,
    _DATA_LOSS: Broken,
    16: Rejected,  # UNAUTHENTICATED
}


class GrpcStatus(NamedTuple):
    """A status as gRPC sends it: code, message, trailing metadata."""

    code: int
    message: str
    metadata: Mapping[str, str]


def status_of(error: HermesError) -> GrpcStatus:
    """The status for a core error; `retry-after` is in seconds."""
    metadata = {ERROR_KEY: error.slug}
    retry_after = getattr(error, "retry_after_seconds", None)
    if retry_after is not None:
        metadata[RETRY_KEY] = f"{retry_after:g}"
    return GrpcStatus(error.grpc_status, sendable(error.detail[:MAX_DETAIL_LENGTH]), metadata)


def error_of(code: int, message: str, metadata: Mapping[str, object]) -> HermesError:
    """The core error for a status that is not OK.

    Of CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, ABORTED, UNIMPLEMENTED and UNAVAILABLE without a slug
    it is Unavailable: nobody who speaks this protocol has refused.
    """
    retry_after = _retry_after(metadata.get(RETRY_KEY))
    known = _by_slug(metadata.get(ERROR_KEY), code)
    if known is None and code == _RESOURCE_EXHAUSTED:
        known = TooLarge if retry_after is None else QueueFull
    known = known or _BY_STATUS.get(code, Unavailable)
    if issubclass(known, Unavailable):
        return known(message, retry_after_seconds=1.0 if retry_after is None else retry_after)
    return known(message)


def _by_slug(slug: object, code: int) -> type[HermesError] | None:
    """The class of that slug and status whose constructor takes a detail, if there is one."""
    for error_class in _family(HermesError):
        if error_class.slug == slug and error_class.grpc_status == code and code != _INTERNAL:
            return error_class
    return None


def _family(root: type[HermesError]) -> Iterator[type[HermesError]]:
    yield root
    for child in root.__subclasses__():
        yield from _family(child)


def _retry_after(value: object) -> float | None:
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_SECONDS) if math.isfinite(seconds) else None
