"""An httpx transport that connects only to addresses it has checked.

The name is resolved once per request, every address is checked, and the connection goes to one of
those very addresses, so a name that changes its answer between check and use (DNS rebinding) gains
nothing. The Host header, SNI and the name in the certificate stay those of the URL.
"""

from __future__ import annotations

import ssl
from functools import cache
from typing import Final

import httpx
import trio

from hermesd_http.addresses import AddressPolicy

MAX_ADDRESSES_TRIED: Final = 4


class GuardedTransport(httpx.AsyncBaseTransport):
    """Runs under trio; owns and closes the transport that it wraps.

    Raises AddressRefused (addresses.py) where the policy says no, httpx.ConnectError where a name
    does not resolve, and what the wrapped transport raises.
    """

    def __init__(self, policy: AddressPolicy, inner: httpx.AsyncBaseTransport) -> None:
        self._policy = policy
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends `request` to the first of the host's addresses that takes a connection."""
        addresses = await self._checked_addresses(request)
        for address in addresses[:-1]:
            try:
                return await self._inner.handle_async_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent: the next address may be reachable
        return await self._inner.handle_async_request(_pinned(request, addresses[-1]))

    async def aclose(self) -> None:
        """Closes the wrapped transport."""
        await self._inner.aclose()

    async def _checked_addresses(self, request: httpx.Request) -> list[str]:
        host = request.url.raw_host.decode("ascii")
        try:
            found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"the name {host[:255]!r} does not resolve") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses:
            raise httpx.ConnectError(f"the name {host[:255]!r} has no address")
        self._policy.check(host, addresses)
        return addresses[:MAX_ADDRESSES_TRIED]


async def guarded_client(
    policy: AddressPolicy, *, ca_file: str = "", connect_seconds: float = 10.0
) -> httpx.AsyncClient:
    """A client for one job: no proxy, no environment, no connection kept.

    A proxy would resolve names by itself and so bypass the check. Connections are not kept, since
    the pool knows them by address alone, and one whose certificate was checked for a first name
    must not serve a second one. Certificates are checked against the system's, or `ca_file`'s;
    raises OSError where that cannot be read.
    """
    context = await trio.to_thread.run_sync(_tls_context, ca_file)
    inner = httpx.AsyncHTTPTransport(
        verify=context, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
    )
    return httpx.AsyncClient(
        transport=GuardedTransport(policy, inner),
        timeout=httpx.Timeout(None, connect=connect_seconds),  # the exchange has its own deadline
        trust_env=False,
    )


@cache
def _tls_context(ca_file: str) -> ssl.SSLContext:
    """Reading the certificates takes some 30 ms, so they are read once per file and process."""
    return ssl.create_default_context(cafile=ca_file or None)


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """`request` with the address in place of the name, which Host and SNI go on carrying."""
    extensions = dict(request.extensions)
    host = request.url.raw_host.decode("ascii")
    if request.url.scheme == "https" and host != address:
        extensions["sni_hostname"] = host
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )
