"""A source image from a URL, through hermesd-http's guard against private addresses."""

from __future__ import annotations

import httpx
import trio
from hermesd_http.addresses import AddressRefused
from hermesd_http.exchange import Answer, ExchangeLimits, ExchangeRefused, NoAnswer, exchange
from hermesd_http.transport import guarded_client

from hermesd.handlers import Permanent, Retry
from hermesd_resize_image.settings import ResizeSettings


def fetch(url: str, settings: ResizeSettings) -> bytes:
    """The body that `url` answers with, at most `max_source_bytes`.

    Runs an event loop of its own, so it must not be called from one: a handler in a process has
    none, and trio gives the fetch one deadline for all of it. Raises Permanent where the URL is
    refused or not there, Retry where the server may do better later.
    """
    return trio.run(_fetch, url, settings)


async def _fetch(text: str, settings: ResizeSettings) -> bytes:
    try:
        url = httpx.URL(text)
        answer = await _get(url, settings)
    except (httpx.InvalidURL, AddressRefused, ExchangeRefused) as error:
        raise Permanent(f"source_url: {error}") from error
    except NoAnswer as error:
        raise Retry(reason=f"source_url: {url.host}: {error}") from error
    except OSError as error:
        raise Permanent(f"plugins.settings.resize-image.ca_file: {error.strerror}") from error
    if answer.status >= 500 or answer.status in (408, 425, 429):
        raise Retry(reason=f"source_url: {url.host} answered {answer.status}")
    if answer.status != 200:
        raise Permanent(f"source_url: {url.host} answered {answer.status}")
    if answer.truncated:
        raise Permanent(f"source_url: over the limit of {settings.max_source_bytes} bytes")
    return answer.body


async def _get(url: httpx.URL, settings: ResizeSettings) -> Answer:
    request = httpx.Request(
        "GET", url, headers={"accept": "image/*", "accept-encoding": "identity"}
    )
    limits = ExchangeLimits(
        seconds=settings.fetch_timeout_seconds,
        max_response_bytes=settings.max_source_bytes,
        max_redirects=settings.max_redirects,
    )
    client = await guarded_client(settings.address_policy, ca_file=settings.ca_file)
    async with client:
        return await exchange(client, request, limits)
