"""What clients may take: time, bytes, connections. Waits end with the socket, never by sleeping."""

import resource
from collections.abc import Callable
from typing import Any

import pytest
import trio

from hermesd.http.asgi import Receive, Scope, Send
from hermesd.http.limits import HttpLimits

Start = Callable[..., Any]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body and answer with its size."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


async def test_slow_headers_get_408(start: Start) -> None:
    """A head that does not end in time is refused; a client beside it is served meanwhile."""
    server = await start(read_all, HttpLimits(header_seconds=0.2))
    slow, other = await server.dial(), await server.dial()
    await slow.send(GET[:-2])
    assert (await other.ask(GET)).status == 200
    reply = await slow.reply()
    assert (reply.status, reply.headers["connection"]) == (408, "close")
    assert await slow.rest() == b""


async def test_a_drip_of_headers_gains_no_time(start: Start) -> None:
    """One field after another does not move the deadline of the head."""
    server = await start(read_all, HttpLimits(header_seconds=0.3))
    peer = await server.dial()

    async def drip() -> None:
        await peer.send(GET[:-2])
        while True:
            await peer.stream.send_all(b"X: y\r\n")
            await trio.sleep(0.02)  # the pace of the attack, not a wait for a result

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        assert (await peer.reply()).status == 408
        nursery.cancel_scope.cancel()


async def test_a_second_request_with_slow_headers_gets_408(start: Start) -> None:
    """What was answered before does not matter."""
    server = await start(read_all, HttpLimits(header_seconds=0.2))
    peer = await server.dial()
    assert (await peer.ask(GET)).status == 200
    assert (await peer.ask(GET + GET[:5])).status == 200
    assert (await peer.reply()).status == 408


async def test_a_slow_body_gets_408_and_its_app_is_cancelled(start: Start) -> None:
    """The app never sees a body cut short as if it were whole."""
    outcome: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            while True:
                await receive()
        except trio.Cancelled:
            outcome.append("cancelled")
            raise

    server = await start(app, HttpLimits(body_seconds=0.2))
    peer = await server.dial()
    reply = await peer.ask(POST + b"12345")
    assert (reply.status, reply.headers["connection"]) == (408, "close")
    assert outcome == ["cancelled"]
    assert server.log.entries == []


async def test_a_slow_reader_is_cut_off(start: Start) -> None:
    """A response that nobody reads ends with the connection, not with memory."""
    ended = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * 64_000_000})
        finally:
            ended.set()

    server = await start(app, HttpLimits(write_seconds=0.2))
    peer = await server.dial()
    await peer.send(GET)
    with trio.fail_after(60):
        await ended.wait()
    assert len(await peer.rest()) < 64_000_000
    assert server.log.entries == []


async def test_idle_connections_are_closed(start: Start) -> None:
    """Both one that never spoke and one that was served."""
    server = await start(read_all, HttpLimits(idle_seconds=0.2))
    silent, served = await server.dial(), await server.dial()
    assert (await served.ask(GET)).status == 200
    assert await silent.rest() == b""
    assert await served.rest() == b""


async def test_time_that_the_app_takes_is_not_the_clients(start: Start) -> None:
    """No deadline runs while a request is being worked on."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await trio.sleep(0.6)  # the app's work
        await read_all(scope, receive, send)

    limits = HttpLimits(idle_seconds=0.1, header_seconds=0.1, body_seconds=0.1, write_seconds=0.1)
    peer = await (await start(slow, limits)).dial()
    assert (await peer.ask(POST + b"1234567890")).body == b"10"


SIZES = {
    "a long target": (414, b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an endless target": (414, b"GET /" + b"x" * 5000),
    "a huge field": (431, GET[:-2] + b"X: " + b"y" * 9000 + b"\r\n\r\n"),
    "an endless field": (431, GET[:-2] + b"X: " + b"y" * 9000),
    "an endless name": (431, GET[:-2] + b"y" * 9000),
    "many fields": (431, GET[:-2] + b"X: y\r\n" * 40 + b"\r\n"),
    "a long body": (413, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20001\r\n\r\n"),
    "a long chunk": (413, CHUNKED + b"ffff\r\n" + b"x" * 20001),
    "many chunks": (413, CHUNKED + b"1\r\nx\r\n" * 20001),
    "an endless extension": (431, CHUNKED + b"1;" + b"x" * 90_000),
    "endless trailers": (431, CHUNKED + b"0\r\n" + b"X: y\r\n" * 20_000),
}


@pytest.mark.parametrize("case", SIZES)
async def test_what_is_too_long_is_refused(start: Start, case: str) -> None:
    """A problem document, close, and the end of the connection."""
    status, data = SIZES[case]
    limits = HttpLimits(
        max_target_bytes=4096, max_header_bytes=8192, max_headers=30, max_body_bytes=20000
    )
    server = await start(read_all, limits)
    peer = await server.dial()
    reply = await peer.ask(data)
    assert (reply.status, reply.headers["connection"]) == (status, "close")
    assert reply.headers["content-type"] == "application/problem+json"
    await peer.stream.send_eof()
    assert await peer.rest() == b""
    assert server.log.entries == []


async def test_what_is_just_within_the_limits_is_served(start: Start) -> None:
    """The limits are the largest that is still accepted."""
    limits = HttpLimits(
        max_target_bytes=4096, max_header_bytes=8192, max_headers=3, max_body_bytes=20000
    )
    peer = await (await start(read_all, limits)).dial()
    target = b"/" + b"t" * 4095
    fields = b"Host: a\r\nContent-Length: 20000\r\nX: " + b"y" * (8192 - 8 - 23 - 6) + b"\r\n\r\n"
    data = b"POST " + target + b" HTTP/1.1\r\n" + fields + b"b" * 20000
    for _ in range(2):
        assert (await peer.ask(data)).body == b"20000"


@pytest.mark.parametrize("chunked", [True, False])
async def test_100_mb_are_refused_with_flat_memory(start: Start, chunked: bool) -> None:
    """413 arrives although the client is still sending, and nothing is piled up."""
    server = await start(read_all)
    peer = await server.dial()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    piece = b"x" * 65536
    framed = b"10000\r\n" + piece + b"\r\n"
    head = POST.replace(b"10\r", b"104857600\r")

    async def upload() -> None:
        try:
            await peer.stream.send_all(CHUNKED if chunked else head)
            for _ in range(1600):
                await peer.stream.send_all(framed if chunked else piece)
        except trio.BrokenResourceError:
            pass  # the server has stopped listening to it

    async with trio.open_nursery() as nursery:
        nursery.start_soon(upload)
        assert (await peer.reply()).status == 413
        nursery.cancel_scope.cancel()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 32 * 1024


async def test_a_body_is_not_read_ahead_of_its_app(start: Start) -> None:
    """While the app does not receive, the client cannot send more than the socket's buffers."""
    go_on = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await read_all(scope, receive, send)

    server = await start(app, HttpLimits(max_body_bytes=64_000_000))
    peer = await server.dial()
    sent = 0
    await peer.send(POST.replace(b"10\r", b"64000000\r"))
    with trio.move_on_after(0.5):  # a stalled send is what is looked for
        for _ in range(1000):
            await peer.stream.send_all(b"x" * 64000)
            sent += 64000
    assert sent < 32_000_000
    go_on.set()
    # The piece that was cut short is not known, so this connection has served its turn.
    await peer.stream.aclose()


async def test_many_idle_connections_leave_others_served(start: Start) -> None:
    """2,000 connections that say nothing, or half a head, cost no one else a request."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(10_000, hard) if hard != resource.RLIM_INFINITY else 10_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    count = min(2000, (max(soft, wanted) - 200) // 2)
    server = await start(read_all)
    idle = [await server.dial() for _ in range(count)]
    for peer in idle[::2]:
        await peer.send(GET[:20])
    other = await server.dial()
    for _ in range(100):
        assert (await other.ask(GET)).status == 200
    for peer in idle:
        await trio.aclose_forcefully(peer.stream)


async def test_connections_past_the_limit_get_503(start: Start) -> None:
    """With Retry-After and a close; room is made by whoever leaves."""
    server = await start(read_all, HttpLimits(max_connections=2))
    first, second = await server.dial(), await server.dial()
    assert (await first.ask(GET)).status == (await second.ask(GET)).status == 200
    for _ in range(3):
        third = await server.dial()
        reply = await third.reply()
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reply.headers["connection"] == "close"
        assert await third.rest() == b""
    assert [entry["event"] for entry in server.log.entries] == ["http connection limit reached"]
    reply = await first.ask(GET[:-2] + b"Connection: close\r\n\r\n")
    assert await first.rest() == b""
    assert (await (await server.dial()).ask(GET)).status == 200


async def test_a_receive_given_up_leaves_no_deadline_behind(start: Start) -> None:
    """An app that stops waiting for a body has all the time it wants for its answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with trio.move_on_after(0.05):
            await receive()
        await trio.sleep(0.5)  # the app's work, past body_seconds
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    peer = await (await start(app, HttpLimits(body_seconds=0.1))).dial()
    assert (await peer.ask(POST)).body == b"ok"


async def test_changed_limits_hold_for_new_connections(start: Start) -> None:
    """Those that are open keep theirs; a head that was known is looked at again."""
    server = await start(read_all)
    head = b"GET /" + b"x" * 500 + b" HTTP/1.1\r\nHost: a\r\n"
    known = head + b"X-Long: " + b"y" * 500 + b"\r\n\r\n"
    old = await server.dial()
    for _ in range(3):
        assert (await old.ask(known)).status == 200
    for limits, status in (
        (HttpLimits(max_target_bytes=100), 414),
        (HttpLimits(max_header_bytes=100), 431),
        (HttpLimits(max_headers=1), 431),
        (HttpLimits(), 200),
    ):
        server.limits = limits
        assert (await (await server.dial()).ask(known)).status == status
        assert (await old.ask(known)).status == 200
    server.limits = HttpLimits(max_body_bytes=3, max_pipelined=2)
    body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345"
    assert (await (await server.dial()).ask(body)).status == 413
    assert (await old.ask(body)).status == 200
    peer = await server.dial()
    await peer.send(GET * 5)
    answers = (await peer.rest()).count(b"HTTP/1.1 200")
    assert answers < 5
    server.limits = HttpLimits(max_connections=1)
    assert (await (await server.dial()).reply()).status == 503
    server.limits = HttpLimits()
    assert (await (await server.dial()).ask(GET)).status == 200


async def test_changed_times_hold_for_new_connections(start: Start) -> None:
    """For headers, bodies and slow readers; for idling also on connections of before."""

    async def big(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 50_000_000})

    server = await start(read_all)
    old = await server.dial()
    assert (await old.ask(GET)).status == 200
    server.limits = HttpLimits(header_seconds=0.1)
    peer = await server.dial()
    assert (await peer.ask(GET[:20])).status == 408
    server.limits = HttpLimits(body_seconds=0.1)
    peer = await server.dial()
    assert (await peer.ask(POST)).status == 408
    server.limits = HttpLimits(idle_seconds=0.1)
    peer = await server.dial()
    assert (await peer.ask(GET)).status == 200
    assert await peer.rest() == b""
    assert (await old.ask(GET)).status == 200
    assert await old.rest() == b""
    slow = await start(big)
    slow.limits = HttpLimits(write_seconds=0.1)
    peer = await slow.dial()
    await peer.send(GET)
    assert await peer.until(b"\r\n\r\n")
    assert len(await peer.rest()) < 50_000_000
