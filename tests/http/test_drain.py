"""The server's beginning and end: listening, draining, being cancelled."""

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from hermesd.http.asgi import Receive, Scope, Send
from hermesd.http.channel import Channel
from hermesd.http.errors import ListenFailed
from hermesd.http.heads import KnownHeads
from hermesd.http.limits import HttpLimits
from hermesd.http.readiness import Readiness
from hermesd.http.responses import ResponseWriter
from hermesd.http.server import open_listeners
from hermesd.http.transport import PlainTransport
from hermesd.http.watch import Watch

Start = Callable[..., Any]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Gate:
    """An app whose answers wait until the gate is opened."""

    def __init__(self) -> None:
        self.entered = trio.Event()
        self.opened = trio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered.set()
        await self.opened.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    def close(self) -> None:
        """Let answers wait again."""
        self.entered, self.opened = trio.Event(), trio.Event()


async def test_a_request_under_way_is_finished(start: Start) -> None:
    """Draining closes idle connections and the door at once, and the busy one after its answer."""
    gate = Gate()
    server = await start(gate)
    busy, idle = await server.dial(), await server.dial()
    gate.opened.set()
    assert (await idle.ask(GET)).status == 200
    gate.close()
    await busy.send(GET)
    await gate.entered.wait()
    server.stopping.set()
    assert await idle.rest() == b""
    with pytest.raises(OSError, match="failed"):
        await server.dial()
    assert not server.stopped.is_set()
    gate.opened.set()
    reply = await busy.reply()
    assert (reply.body, reply.headers["connection"]) == (b"done", "close")
    await server.ended()
    assert await busy.rest() == b""


async def test_a_half_read_request_is_served_in_the_drain(start: Start) -> None:
    """A request counts as under way from its first byte."""
    gate = Gate()
    gate.opened.set()
    server = await start(gate)
    peer = await server.dial()
    assert (await peer.ask(GET)).status == 200
    await peer.send(GET[:10])
    await trio.testing.wait_all_tasks_blocked()
    server.stopping.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (await peer.ask(GET[10:])).headers["connection"] == "close"
    await server.ended()


async def test_a_request_that_crosses_the_end_of_its_connection_is_served() -> None:
    """Bytes that were there when the idle connection was ended are not thrown away."""
    here, there = trio.socket.socketpair()
    limits = HttpLimits()
    readiness = Readiness()
    transport = PlainTransport(trio.SocketStream(here), readiness)
    channel = Channel(transport, limits, Watch(limits, ResponseWriter()), KnownHeads())

    async def serve_idle() -> None:
        with channel.scope:
            await channel.next_request()

    os.write(there.fileno(), GET)
    assert await channel.next_request() is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_idle)
        await trio.testing.wait_all_tasks_blocked()
        os.write(there.fileno(), GET)
        channel.drain()
    assert channel.reopen()
    with channel.scope:
        request = await channel.next_request()
        assert request is not None
        assert request.target == b"/"
        assert await channel.next_request() is None
    assert not channel.reopen()
    await transport.close()
    readiness.close()
    there.close()


async def test_the_drain_has_an_end(start: Start) -> None:
    """A request that outlasts drain_seconds is cancelled and its connection closed."""
    gate = Gate()
    server = await start(gate, drain_seconds=0.2)
    peer = await server.dial()
    await peer.send(GET)
    await gate.entered.wait()
    server.stopping.set()
    await server.ended()
    assert await peer.rest() == b""


async def test_an_idle_server_drains_at_once(start: Start) -> None:
    """Nothing under way: nothing is waited for."""
    gate = Gate()
    gate.opened.set()
    server = await start(gate, drain_seconds=3600.0)
    peer = await server.dial()
    assert (await peer.ask(GET)).status == 200
    await trio.testing.wait_all_tasks_blocked()
    server.stopping.set()
    await server.ended()
    assert await peer.rest() == b""


@pytest.mark.parametrize("tls", [False, True])
async def test_a_connection_made_just_before_the_end_is_served(start: Start, tls: bool) -> None:
    """Its first request may be on its way still; one that sends none is not waited for long."""
    gate = Gate()
    gate.opened.set()
    server = await start(gate, tls=tls, drain_seconds=3600.0)
    late, silent = await server.dial(), await server.dial()
    await trio.testing.wait_all_tasks_blocked()
    server.stopping.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (await late.ask(GET)).headers["connection"] == "close"
    await server.ended()
    assert await late.rest() == b""
    if not tls:
        assert await silent.rest() == b""


@pytest.mark.parametrize("tls", [False, True])
async def test_a_cancelled_server_closes_everything(start: Start, tls: bool) -> None:
    """Cancelling needs no drain."""
    gate = Gate()
    server = await start(gate, tls=tls, drain_seconds=3600.0)
    busy, idle = await server.dial(), await server.dial()
    await busy.send(GET)
    await gate.entered.wait()
    server.scope.cancel()
    await server.ended()
    assert await busy.rest() == b""
    if not tls:
        assert await idle.rest() == b""
    with pytest.raises(OSError, match="failed"):
        await server.dial()


async def test_an_address_in_use_is_named() -> None:
    """The error tells host, port and reason."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenFailed, match=rf"127\.0\.0\.1:{port}: the address is in use"):
            await open_listeners("127.0.0.1", port)


async def test_an_address_of_another_host_is_named() -> None:
    """192.0.2.0/24 is nobody's (RFC 5737)."""
    with pytest.raises(ListenFailed, match=r"192\.0\.2\.1:0: this host has no such address"):
        await open_listeners("192.0.2.1", 0)


async def test_accepted_connections_send_at_once() -> None:
    """TCP_NODELAY is set, so that small responses are not held back."""
    (listener,) = await open_listeners("127.0.0.1", 0)
    assert isinstance(listener, trio.SocketListener)
    port = listener.socket.getsockname()[1]
    async with await trio.open_tcp_stream("127.0.0.1", port), await listener.accept() as stream:
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await listener.aclose()
