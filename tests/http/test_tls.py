"""The server over TLS."""

import ssl
from collections.abc import Callable
from typing import Any

import httpx
import trio

from hermesd.http.asgi import Receive, Scope, Send
from hermesd.http.limits import HttpLimits

Start = Callable[..., Any]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def big(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body; answer with the scheme and much more."""
    await receive()
    body = scope["scheme"].encode() + b"x" * 1_000_000
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def test_https_is_served(start: Start) -> None:
    """Keep-alive and pipelining as without TLS, responses of any size."""
    peer = await (await start(big, tls=True)).dial()
    await peer.send(GET * 3)
    for _ in range(3):
        reply = await peer.reply()
        assert reply.body == b"https" + b"x" * 1_000_000


async def test_an_ordinary_client_is_served(start: Start, client_context: ssl.SSLContext) -> None:
    """httpx verifies the certificate and gets its answer."""
    server = await start(big, tls=True)
    async with httpx.AsyncClient(verify=client_context) as client:
        reply = await client.get(f"https://localhost:{server.port}/")
    assert reply.content.startswith(b"https")


async def test_a_client_without_tls_is_closed(start: Start) -> None:
    """Plain HTTP on a TLS port ends that connection only."""
    server = await start(big, tls=True)
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    await stream.send_all(GET)
    with trio.fail_after(60):
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
    assert (await (await server.dial()).ask(GET)).status == 200
    assert server.log.entries == []


async def test_a_handshake_that_does_not_come_is_not_waited_for(start: Start) -> None:
    """The handshake is part of the time for headers."""
    server = await start(big, HttpLimits(header_seconds=0.2), tls=True)
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    with trio.fail_after(60):
        while await stream.receive_some():
            pass


async def test_idle_tls_connections_are_drained(start: Start) -> None:
    """With a clean end of the TLS stream."""
    server = await start(big, tls=True)
    peer = await server.dial()
    assert (await peer.ask(GET)).status == 200
    server.stopping.set()
    assert await peer.rest() == b""
    await server.ended()
