"""What a call can end in besides its answer, split by what the caller should do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hermesd.client.answers import JobView


class ClientError(Exception):
    """The root. `idempotency_key` is that of a submit: with it the submit can be made again."""

    idempotency_key: str | None = None

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ApiError(ClientError):
    """The api answered with a problem (RFC 9457): its slug, title, status, detail, extra members.

    `slug` is `http-<status>` where the answer was not a problem of hermesd (a proxy's, say).
    """

    def __init__(
        self,
        detail: str,
        *,
        slug: str,
        title: str,
        status: int,
        extra: Mapping[str, Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.title = title
        self.status = status
        self.extra: Mapping[str, Any] = extra or {}
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return f"{self.title}: {self.detail}" if self.detail else f"{self.title} ({self.status})"


class RejectedError(ApiError):
    """4xx but 429: the request is at fault and would fail again."""


class UnavailableError(ApiError):
    """429 or 503: surely not done; later it may be."""


class UnknownOutcomeError(ApiError):
    """502 or 504: it may or may not have been done."""


class ConnectionFailed(ClientError):
    """No whole answer came. `sent`: the request may have arrived, and may have been carried out."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.sent = sent


class BadAnswer(ClientError):
    """What answered does not speak this API (another service, a redirect, a much newer daemon)."""


class WaitTimeout(ClientError):
    """The run had not ended in time; `job` is how it stood last."""

    def __init__(self, detail: str, job: JobView) -> None:
        super().__init__(detail)
        self.job = job
