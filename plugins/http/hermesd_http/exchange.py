"""One request and its answer, redirects included, within one deadline and one size."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

import httpx
import msgspec
import trio

SCHEMES: Final = ("http", "https")
KEPT_ACROSS_ORIGINS: Final = frozenset(
    {
        "host",
        "accept",
        "accept-encoding",
        "user-agent",
        "content-type",
        "content-length",
        "idempotency-key",
        "x-hermes-job-id",
        "x-hermes-attempt",
    }
)


class ExchangeRefused(Exception):
    """The URL, or a redirect, is of a kind that is not followed; trying again will not help."""


class NoAnswer(Exception):
    """No whole answer came: connection, protocol or deadline. The request may have arrived."""


class ExchangeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` spans everything from the name's resolution to the last byte that is read."""

    seconds: float
    max_response_bytes: int
    max_redirects: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `truncated`: the body was longer than the limit, the rest was not read."""

    status: int
    headers: httpx.Headers
    body: bytes
    truncated: bool


async def exchange(
    client: httpx.AsyncClient,
    request: httpx.Request,
    limits: ExchangeLimits,
) -> Answer:
    """Sends `request` and follows up to `max_redirects` redirects; the one past it is the answer.

    `client` must not follow redirects by itself. Raises ExchangeRefused, NoAnswer, and what the
    client's transport raises of its own (AddressRefused).
    """
    check_url(request.url)
    try:
        with trio.fail_after(limits.seconds):
            return await _follow(client, request, limits)
    except trio.TooSlowError:
        raise NoAnswer(f"no answer within {limits.seconds:g} s") from None
    except (httpx.TransportError, httpx.InvalidURL, httpx.StreamError) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}".rstrip(": ")) from error


def check_url(url: httpx.URL) -> None:
    """Raises ExchangeRefused unless `url` is absolute, http or https, with a host that can be."""
    if url.scheme not in SCHEMES or not url.host:
        raise ExchangeRefused("only absolute http and https URLs can be called")
    if "%" in url.host or not 0 < (url.port or 80) <= 65535:  # httpx quotes what no host holds
        raise ExchangeRefused("the URL's host or port is malformed")


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether scheme, host and port are the same (RFC 6454 section 5)."""
    return _origin(one) == _origin(other)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


async def _follow(
    client: httpx.AsyncClient, request: httpx.Request, limits: ExchangeLimits
) -> Answer:
    redirects = 0
    while True:
        async with aclosing(await client.send(request, stream=True)) as response:
            following = response.next_request
            if following is None or redirects == limits.max_redirects:
                return await _read(response, limits.max_response_bytes)
        _prepare_redirect(request, following)
        request, redirects = following, redirects + 1


def _prepare_redirect(request: httpx.Request, following: httpx.Request) -> None:
    """Takes out of `following` what another origin may not see and what signs another body."""
    check_url(following.url)
    if request.url.scheme == "https" and following.url.scheme != "https":
        raise ExchangeRefused("a redirect from https to http is not followed")
    if same_origin(request.url, following.url) and request.method == following.method:
        return
    for name in set(following.headers) - KEPT_ACROSS_ORIGINS:
        del following.headers[name]


async def _read(response: httpx.Response, max_bytes: int) -> Answer:
    """Reads at most `max_bytes` as they came: a compressed body is not unpacked."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            break
    return Answer(
        status=response.status_code,
        headers=response.headers,
        body=bytes(body[:max_bytes]),
        truncated=len(body) > max_bytes,
    )
