"""From the bytes of an answer to its struct or its fault; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec

from hermesd.client.calls import Call
from hermesd.client.faults import (
    ApiError,
    BadAnswer,
    ConnectionFailed,
    RejectedError,
    UnavailableError,
    UnknownOutcomeError,
)

A = TypeVar("A")
PROBLEM_TYPE: Final = "application/problem+json"
PROBLEM_PREFIX: Final = "urn:hermesd:problem:"


@dataclass(frozen=True)
class RawAnswer:
    """What came over the wire; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Inbox:
    """Collects a body chunk by chunk, bounded in size and in time."""

    def __init__(self, *, max_bytes: int, deadline: float, monotonic: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._deadline = deadline
        self._monotonic = monotonic
        self._chunks: list[bytes] = []
        self._size = 0

    def take(self, chunk: bytes) -> None:
        """Raises BadAnswer past the size, ConnectionFailed past the time."""
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise BadAnswer(f"the answer is longer than {self._max_bytes} bytes")
        if self._monotonic() > self._deadline:
            raise ConnectionFailed("the answer did not end in time", sent=True)
        self._chunks.append(chunk)

    @property
    def body(self) -> bytes:
        """All of it so far."""
        return b"".join(self._chunks)


def read(call: Call[A], raw: RawAnswer) -> A:
    """The answer of `call`; raises ApiError for a refusal, BadAnswer for what is not ours."""
    if raw.headers.get("content-encoding", "identity") != "identity":
        raise BadAnswer(f"{call.method} {call.path} was answered in an encoding not asked for")
    problem = raw.headers.get("content-type", "").startswith(PROBLEM_TYPE)
    if 200 <= raw.status < 300 or (raw.status in call.answered and not problem):
        try:
            return msgspec.json.decode(raw.body, type=call.answer)
        except (ValueError, RecursionError) as error:
            raise BadAnswer(
                f"{call.method} {call.path} was answered by something else than hermesd: {error}"
            ) from error
    if raw.status < 400:
        location = raw.headers.get("location")
        goal = f" to {location}: give that URL" if location else ""
        raise BadAnswer(f"{call.method} {call.path} was answered {raw.status}{goal}")
    raise refusal(raw, call.idempotency_key)


def refusal(raw: RawAnswer, idempotency_key: str | None = None) -> ApiError:
    """The fault that a status of 400 and above stands for."""
    members = _problem_members(raw)
    slug = str(members.pop("type", "")).removeprefix(PROBLEM_PREFIX)
    title = str(members.pop("title", "")) or _phrase(raw.status)
    detail = str(members.pop("detail", ""))
    members.pop("status", None)
    fault = _fault_class(raw.status)(
        detail,
        slug=slug or f"http-{raw.status}",
        title=title,
        status=raw.status,
        extra=members,
        retry_after_seconds=retry_after_seconds(raw.headers),
    )
    fault.idempotency_key = idempotency_key
    return fault


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After (RFC 9110 section 10.2.3): seconds, or a date, read against the answer's Date."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    until, now = _date(value), _date(headers.get("date", ""))
    return max((until - now).total_seconds(), 0.0) if until and now else None


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):  # what the standard library lets through
        return None
    return moment if moment.tzinfo else None


def _problem_members(raw: RawAnswer) -> dict[str, Any]:
    if not raw.headers.get("content-type", "").startswith(PROBLEM_TYPE):
        return {}
    try:
        return msgspec.json.decode(raw.body, type=dict[str, Any])
    except (ValueError, RecursionError):
        return {}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def _fault_class(status: int) -> type[ApiError]:
    if status in (429, 503):
        return UnavailableError
    if status in (502, 504):
        return UnknownOutcomeError
    return RejectedError if status < 500 else ApiError
