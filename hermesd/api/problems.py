"""Every error as an `application/problem+json` answer (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import HermesError, NotFound, Rejected, Unavailable

URN: Final = "urn:hermesd:problem:"
CONTENT_TYPE: Final = b"application/problem+json"

Headers = list[tuple[bytes, bytes]]


class MethodNotAllowed(Rejected):
    """The resource has no such method; `allow` names those it has (RFC 9110 15.5.6)."""

    http_status: ClassVar[int] = 405
    slug: ClassVar[str] = "method-not-allowed"
    title: ClassVar[str] = "Method not allowed"


class Answer(NamedTuple):
    """A whole response."""

    status: int
    headers: Headers
    body: bytes


def problem_answer(error: Exception, log: FilteringBoundLogger) -> Answer:
    """The response that `error` is told with; what is our own fault is logged, not told."""
    known = known_error(error)
    if known is None or known.http_status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request.failed", exc_info=error)
        known = HermesError("the request could not be served; the log of this api says why")
    status = _foreign_status(error) or known.http_status
    headers: Headers = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store")]
    if isinstance(known, Unavailable):
        seconds = max(math.ceil(known.retry_after_seconds), 1)
        headers.append((b"retry-after", b"%d" % seconds))
    if isinstance(known, MethodNotAllowed):
        headers.append((b"allow", known.extra["allow"].encode("ascii")))
    return Answer(status, headers, msgspec.json.encode(_members(known, status), enc_hook=str))


def known_error(error: Exception) -> HermesError | None:
    """`error` in our own terms; None for what nobody foresaw."""
    if isinstance(error, HermesError):
        return error
    if isinstance(error, NotFoundException):
        return NotFound("there is nothing at this path")
    if isinstance(error, MethodNotAllowedException):
        named = (error.headers or {}).get("allow", "").split(",")
        allow = listed(method.strip() for method in named)
        return MethodNotAllowed(f"allowed here: {allow}", allow=allow)
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Rejected(error.detail)
    return None


def item_problem(index: int, error: HermesError) -> dict[str, Any]:
    """The fault of one item of a batch, as a member of `errors` of an InvalidBatch."""
    return {"index": index, "type": error.slug, "detail": error.detail, **error.extra}


def _members(error: HermesError, status: int) -> dict[str, Any]:
    standard = {
        "type": URN + error.slug,
        "title": error.title,
        "status": status,
        "detail": error.detail,
    }
    return standard | {key: value for key, value in error.extra.items() if key not in standard}


def _foreign_status(error: Exception) -> int | None:
    return (
        error.status_code if isinstance(error, HTTPException) and error.status_code < 500 else None
    )


def listed(methods: Iterable[str]) -> str:
    """An Allow field: sorted, with OPTIONS, and with HEAD wherever GET is."""
    named = {*methods, "OPTIONS"}
    return ", ".join(sorted(named | ({"HEAD"} if "GET" in named else set())))
