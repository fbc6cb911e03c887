"""Clients that leave: the app is told, and nothing is logged as its failure."""

import struct
from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest
import trio
import trio.testing

from hermesd.http.asgi import Receive, Scope, Send
from hermesd.http.errors import ClientGone

Start = Callable[..., Any]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}


def piece(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def hang_up(stream: trio.abc.Stream, how: str) -> None:
    """Close by FIN or by RST."""
    if how == "reset" and isinstance(stream, trio.SocketStream):
        stream.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    await trio.aclose_forcefully(stream)


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_an_app_that_listens_is_told(start: Start, how: str) -> None:
    """A stream that waits for its next event learns at once that its client left."""
    told = trio.Event()

    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(piece(b"data: 1\n\n"))
        assert (await receive())["type"] == "http.disconnect"
        told.set()

    server = await start(events)
    peer = await server.dial()
    await peer.send(GET)
    await peer.until(b"data: 1\n\n")
    await hang_up(peer.stream, how)
    with trio.fail_after(60):
        await told.wait()
    assert server.log.entries == []


@pytest.mark.parametrize("tls", [False, True])
async def test_an_app_that_only_sends_is_stopped(start: Start, tls: bool) -> None:
    """The first event after the client left raises, an OSError as ASGI has it."""
    stopped = trio.Event()
    left = trio.Event()

    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(piece(b"data: 1\n\n"))
        await left.wait()
        try:
            while True:
                await send(piece(b"data: 2\n\n"))
        except ClientGone:
            stopped.set()
            raise

    server = await start(events, tls=tls)
    peer = await server.dial()
    await peer.send(GET)
    await peer.until(b"data: 1\n\n")
    await trio.aclose_forcefully(peer.stream)
    left.set()
    with trio.fail_after(60):
        await stopped.wait()
    server.stopping.set()
    await server.ended()
    assert server.log.entries == []


async def test_a_body_cut_short_is_a_disconnect(start: Start) -> None:
    """The app gets what came, then http.disconnect, never a whole body."""
    seen: list[tuple[str, bool]] = []
    ended = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            seen.append((message["type"], message.get("more_body", False)))
            if message["type"] == "http.disconnect":
                ended.set()
                return

    server = await start(app)
    peer = await server.dial()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
    await peer.stream.send_eof()
    with trio.fail_after(60):
        await ended.wait()
    assert seen == [("http.request", True), ("http.disconnect", False)]
    assert await peer.rest() == b""
    assert server.log.entries == []


async def test_a_next_request_that_comes_early_waits_for_its_turn(start: Start) -> None:
    """Bytes read while listening for the client's end are the next request."""
    heard = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

        async def listen() -> None:
            await receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            if scope["path"] == "/first":
                await heard.wait()
            await send(START)
            await send({"type": "http.response.body", "body": scope["path"].encode()})

    peer = await (await start(app)).dial()
    await peer.send(GET.replace(b"/ ", b"/first "))
    await trio.testing.wait_all_tasks_blocked()
    await peer.send(GET.replace(b"/ ", b"/second "))
    heard.set()
    assert (await peer.reply()).body == b"/first"
    assert (await peer.reply()).body == b"/second"


async def test_a_write_given_up_half_way_is_followed_by_nothing(start: Start) -> None:
    """An app that times its own send out cannot go on in the middle of a message."""
    refused = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        with trio.move_on_after(0.1):
            await send(piece(b"x" * 64_000_000))
        try:
            await send({"type": "http.response.body", "body": b"more"})
        except ClientGone:
            refused.set()

    server = await start(app)
    peer = await server.dial()
    await peer.send(GET)
    with trio.fail_after(60):
        await refused.wait()
    assert b"more" not in await peer.rest()
