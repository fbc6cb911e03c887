"""One webhook call: the request of a payload, and what its answer makes of the attempt."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

import httpx

from hermesd.handlers import JobContext, Permanent, Retry
from hermesd_http.addresses import AddressRefused
from hermesd_http.exchange import (
    Answer,
    ExchangeLimits,
    ExchangeRefused,
    NoAnswer,
    check_url,
    exchange,
)
from hermesd_http.headers import HeaderRefused, checked_headers, job_headers
from hermesd_http.payload import HttpPayload, HttpResult
from hermesd_http.retry_after import retry_after_seconds
from hermesd_http.settings import HttpSettings, settings_of
from hermesd_http.signature import signature_headers
from hermesd_http.transport import guarded_client

_RETRYABLE_BELOW_500: Final = frozenset({408, 425, 429})
_SHOWN_HEADERS: Final = (
    "content-type",
    "content-encoding",
    "date",
    "etag",
    "location",
    "retry-after",
    "x-request-id",
)
_MAX_SHOWN_HEADER_LENGTH: Final = 1024


async def call(payload: HttpPayload, ctx: JobContext) -> HttpResult:
    """See handler.call_webhook."""
    settings = settings_of(ctx.settings)
    request = _request(payload, ctx, settings)
    limits = ExchangeLimits(
        seconds=min(payload.timeout_seconds, ctx.timeout_seconds),
        max_response_bytes=settings.max_response_bytes,
        max_redirects=settings.max_redirects,
    )
    began = time.monotonic()
    answer = await _answer(request, limits, settings)
    elapsed_ms = round((time.monotonic() - began) * 1000)
    if not payload.expects(answer.status):
        raise _refusal(answer, settings)
    return _result(answer, elapsed_ms)


def _request(payload: HttpPayload, ctx: JobContext, settings: HttpSettings) -> httpx.Request:
    content, content_type = payload.content()
    try:
        url = httpx.URL(payload.url)
        check_url(url)
        headers = checked_headers(payload.headers)
    except (httpx.InvalidURL, ExchangeRefused, HeaderRefused) as error:
        raise Permanent(str(error)) from error
    if content_type is not None:
        headers.setdefault("content-type", content_type)
    if settings.secret:
        headers |= signature_headers(settings.secret, content, int(time.time()))
    # Compressed answers are not asked for: a small one could unpack into more than fits in memory.
    headers["accept-encoding"] = "identity"
    return httpx.Request(
        payload.method,
        url,
        headers=job_headers(ctx.job_id, ctx.run, ctx.attempt) | headers,
        content=content or None,
    )


async def _answer(request: httpx.Request, limits: ExchangeLimits, settings: HttpSettings) -> Answer:
    try:
        client = await guarded_client(
            settings.address_policy,
            ca_file=settings.ca_file,
            connect_seconds=settings.connect_timeout_seconds,
        )
        async with client:
            return await exchange(client, request, limits)
    except (AddressRefused, ExchangeRefused) as error:
        raise Permanent(str(error)) from error
    except NoAnswer as error:
        raise Retry(reason=f"{request.url.host}: {error}") from error
    except OSError as error:
        raise Permanent(f"plugins.settings.http.ca_file: {error.strerror}") from error


def _refusal(answer: Answer, settings: HttpSettings) -> Retry | Permanent:
    """What an answer with an unexpected status makes of the attempt."""
    reason = f"answered {answer.status}"
    if answer.status < 500 and answer.status not in _RETRYABLE_BELOW_500:
        return Permanent(reason)
    after = retry_after_seconds(
        answer.headers.get("retry-after"), datetime.now(UTC), settings.max_retry_after_seconds
    )
    return Retry(after, reason)


def _result(answer: Answer, elapsed_ms: int) -> HttpResult:
    encoded = answer.headers.get("content-encoding", "identity") != "identity"
    return HttpResult(
        status=answer.status,
        headers={
            name: answer.headers[name][:_MAX_SHOWN_HEADER_LENGTH]
            for name in _SHOWN_HEADERS
            if name in answer.headers
        },
        body="" if encoded else _text(answer),
        truncated=answer.truncated or encoded,
        elapsed_ms=elapsed_ms,
    )


def _text(answer: Answer) -> str:
    """The body as text that every store takes: PostgreSQL's has no NUL."""
    content_type = answer.headers.get("content-type", "")
    charset = httpx.Response(200, headers={"content-type": content_type}).charset_encoding
    try:
        text = answer.body.decode(charset or "utf-8", errors="replace")
    except (LookupError, ValueError):  # no charset that Python knows, or one that is no text
        text = answer.body.decode("utf-8", errors="replace")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
