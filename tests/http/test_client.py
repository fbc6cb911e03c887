"""HttpConnection: one connection kept, and errors that say what was delivered."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from hermesd.http.asgi import Receive, Scope, Send
from hermesd.http.client import HttpConnection
from hermesd.http.errors import ConnectFailed, ConnectRefused, Unanswered

Start = Callable[..., Any]
Script = Callable[[trio.SocketStream], Awaitable[None]]


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body, and the client's port as a field."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    fields = [(b"x-port", b"%d" % scope["client"][1]), *scope["headers"]]
    fields = [field for field in fields if field[0].startswith(b"x-")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": body, "more_body": True})
        body = b""
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[int]:
    """A peer that runs one script per connection, in order; yields its port."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def run() -> None:
        for script in scripts:
            async with await listener.accept() as stream:
                await script(stream)
        await listener.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def read_request(stream: trio.SocketStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some()
    return data


def saying(answer: bytes) -> Script:
    """Read one request, say `answer`, close."""

    async def script(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(answer)

    return script


async def test_one_connection_serves_many_requests(start: Start) -> None:
    """The connection is opened at the first request and kept."""
    server = await start(mirror)
    client = HttpConnection("127.0.0.1", server.port)
    ports = set()
    for number in range(5):
        reply = await client.request("POST", "/", b"b" * number, [(b"X-A", b"1")], 10)
        assert (reply.status, reply.body) == (200, b"b" * number)
        assert (b"x-a", b"1") in reply.headers
        ports.add(dict(reply.headers)[b"x-port"])
    assert len(ports) == 1
    await client.aclose()
    reply = await client.request("GET", "/", b"", [], 10)
    assert dict(reply.headers)[b"x-port"] not in ports
    await client.aclose()


async def test_chunked_and_large_bodies_are_whole(start: Start) -> None:
    """Both ways, past every buffer."""
    client = HttpConnection("127.0.0.1", (await start(mirror)).port)
    body = bytes(range(256)) * 20_000
    for target in ("/", "/stream"):
        assert (await client.request("POST", target, body, [], 20)).body == body
    await client.aclose()


async def test_head_has_no_body_and_keeps_the_connection(start: Start) -> None:
    """The length that HEAD tells is not waited for."""
    client = HttpConnection("127.0.0.1", (await start(mirror)).port)
    head = await client.request("HEAD", "/", b"abc", [], 10)
    assert head.body == b""
    again = await client.request("GET", "/", b"", [], 10)
    assert dict(head.headers)[b"x-port"] == dict(again.headers)[b"x-port"]
    await client.aclose()


async def test_tls_is_spoken(start: Start, client_context: ssl.SSLContext) -> None:
    """With a verified certificate, over one connection."""
    server = await start(mirror, tls=True)
    client = HttpConnection("localhost", server.port, ssl_context=client_context)
    replies = [await client.request("POST", "/", b"hi", [], 10) for _ in range(3)]
    assert {reply.body for reply in replies} == {b"hi"}
    assert len({dict(reply.headers)[b"x-port"] for reply in replies}) == 1
    await client.aclose()


async def test_an_unknown_certificate_is_a_failed_connect(start: Start) -> None:
    """Nothing was sent."""
    server = await start(mirror, tls=True)
    context = ssl.create_default_context()
    client = HttpConnection("localhost", server.port, ssl_context=context)
    with pytest.raises(ConnectFailed, match="TLS"):
        await client.request("GET", "/", b"", [], 10)


async def test_a_closed_port_is_a_refused_connect() -> None:
    """ECONNREFUSED is told apart: nothing listens there."""
    async with scripted() as port:
        pass
    client = HttpConnection("127.0.0.1", port)
    with pytest.raises(ConnectRefused, match=str(port)):
        await client.request("GET", "/", b"", [], 10)


async def test_an_unknown_host_is_a_failed_connect() -> None:
    """RFC 6761 keeps .invalid without addresses."""
    client = HttpConnection("nobody.invalid", 80)
    with pytest.raises(ConnectFailed):
        await client.request("GET", "/", b"", [], 10)


async def test_a_handshake_that_times_out_is_a_failed_connect() -> None:
    """A peer that accepts and says nothing has got no request."""

    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with scripted(silent) as port:
        client = HttpConnection("127.0.0.1", port, ssl_context=ssl.create_default_context())
        with pytest.raises(ConnectFailed):
            await client.request("GET", "/", b"", [], 0.2)


UNANSWERED = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "only an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "too much": b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
}


@pytest.mark.parametrize("case", UNANSWERED)
async def test_no_whole_answer_is_unanswered(case: str) -> None:
    """Whatever came, the request may have taken effect."""
    async with scripted(saying(UNANSWERED[case])) as port:
        client = HttpConnection("127.0.0.1", port, max_response_bytes=1000)
        with pytest.raises(Unanswered, match=str(port) if case != "too much" else "1000"):
            await client.request("POST", "/", b"x", [], 10)


async def test_a_late_answer_is_unanswered_and_its_connection_closed() -> None:
    """The next request goes over a new connection and gets its own answer."""

    async def late(stream: trio.SocketStream) -> None:
        await read_request(stream)
        assert await stream.receive_some() == b""

    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with scripted(late, saying(answer)) as port:
        client = HttpConnection("127.0.0.1", port)
        with pytest.raises(Unanswered, match="within"):
            await client.request("GET", "/", b"", [], 0.2)
        assert (await client.request("GET", "/", b"", [], 10)).body == b"ok"


async def test_a_cancelled_request_closes_its_connection() -> None:
    """An answer to a request that was given up is never taken for the next one's."""
    asked = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await read_request(stream)
        asked.set()
        assert await stream.receive_some() == b""

    async with scripted(slow, saying(b"HTTP/1.1 204 No Content\r\n\r\n")) as port:
        client = HttpConnection("127.0.0.1", port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.request, "GET", "/", b"", [], 10)
            await asked.wait()
            nursery.cancel_scope.cancel()
        assert (await client.request("GET", "/", b"", [], 10)).status == 204


@pytest.mark.parametrize("stray", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_a_connection_that_the_peer_has_ended_is_not_used(stray: bytes) -> None:
    """It is noticed before anything is sent, so the request goes over a new one."""
    closed = trio.Event()

    async def first(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        if stray:
            await trio.sleep(0.01)  # the stray bytes come in a segment of their own
            await stream.send_all(stray)
        await stream.aclose()
        closed.set()

    async with scripted(first, saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        client = HttpConnection("127.0.0.1", port)
        assert (await client.request("POST", "/", b"1", [], 10)).status == 204
        await closed.wait()
        assert (await client.request("POST", "/", b"2", [], 10)).status == 200


async def test_a_kept_connection_that_dies_under_a_request_is_unanswered() -> None:
    """Once bytes were sent there is no second try."""

    async def twice(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        await read_request(stream)

    async with scripted(twice) as port:
        client = HttpConnection("127.0.0.1", port)
        assert (await client.request("POST", "/", b"1", [], 10)).status == 204
        with pytest.raises(Unanswered):
            await client.request("POST", "/", b"2", [], 10)


async def test_interim_answers_are_passed_over() -> None:
    """The final answer is the one returned; without a length it ends with the connection."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    final = b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nto the end"
    async with scripted(saying(interim + final)) as port:
        reply = await HttpConnection("127.0.0.1", port).request("GET", "/", b"", [], 10)
    assert reply == (200, [(b"x-a", b"b")], b"to the end")


async def test_an_answer_given_before_the_body_was_read_counts() -> None:
    """A refusal of a large body is an answer, not a broken connection."""

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(100)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await stream.send_eof()
        while await stream.receive_some():
            pass

    async with scripted(refuse) as port:
        client = HttpConnection("127.0.0.1", port)
        assert (await client.request("POST", "/", b"x" * 5_000_000, [], 10)).status == 413


async def test_bytes_after_an_answer_end_its_connection() -> None:
    """They would be taken for the next request's answer."""
    double = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1" * 2
    async with scripted(saying(double), saying(double.replace(b"\n1", b"\n2"))) as port:
        client = HttpConnection("127.0.0.1", port)
        assert (await client.request("GET", "/", b"", [], 10)).body == b"1"
        assert (await client.request("GET", "/", b"", [], 10)).body == b"2"


@pytest.mark.parametrize(
    ("target", "field"),
    [("/a b", (b"x", b"y")), ("/\r\nX:", (b"x", b"y")), ("/", (b"x", b"\n")), ("/", (b"\r", b""))],
)
async def test_what_would_break_the_framing_is_not_sent(
    target: str, field: tuple[bytes, bytes]
) -> None:
    """A mistake of the caller, found before anything is connected."""
    with pytest.raises(ValueError, match="holds"):
        await HttpConnection("127.0.0.1", 1).request("GET", target, b"", [field], 10)


async def test_a_request_is_sent_without_a_wait_and_heard_later(start: Start) -> None:
    """Over the open connection, which is kept; without one nothing is sent."""
    client = HttpConnection("127.0.0.1", (await start(mirror)).port)
    assert not client.ready
    assert client.ask("POST", "/", b"a", []) is None
    first = await client.request("GET", "/", b"", [], 10)
    for body in (b"a", bytes(5_000_000)):
        assert client.ready
        asked = client.ask("POST", "/", body, [])
        assert asked is not None
        reply = await client.hear(asked, 20)
        assert reply is not None
        assert (reply.status, reply.body) == (200, body)
        assert dict(reply.headers)[b"x-port"] == dict(first.headers)[b"x-port"]
    await client.aclose()


async def test_an_answer_that_is_not_there_yet_can_be_heard_again() -> None:
    """Until it is dropped; then the connection is not used again."""
    let = trio.Event()
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

    async def late(stream: trio.SocketStream) -> None:
        await saying(whole)(stream)
        await saying(whole[:20])(stream)
        await let.wait()
        await stream.send_all(whole[20:])
        await read_request(stream)
        await trio.sleep_forever()

    async with scripted(late) as port:
        client = HttpConnection("127.0.0.1", port)
        await client.request("GET", "/", b"", [], 10)
        asked = client.ask("GET", "/", b"", [])
        assert asked is not None
        assert await client.hear(asked, 0.01) is None
        let.set()
        reply = await client.hear(asked, 10)
        assert reply is not None
        assert reply.body == b"hi"
        asked = client.ask("GET", "/", b"", [])
        assert asked is not None
        assert await client.hear(asked, 0.01) is None
        client.drop()
        assert not client.ready


async def test_a_long_request_that_was_given_up_is_gone_on_with() -> None:
    """Where it was: the rest is sent by whoever hears again."""
    let = trio.Event()
    body = bytes(range(256)) * 16_000
    got = bytearray()

    async def slow(stream: trio.SocketStream) -> None:
        await saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")(stream)
        await let.wait()
        _, _, begun = (await read_request(stream)).partition(b"\r\n\r\n")
        got.extend(begun)
        while len(got) < len(body):
            got.extend(await stream.receive_some())
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho")
        await trio.sleep_forever()

    async with scripted(slow) as port:
        client = HttpConnection("127.0.0.1", port)
        await client.request("GET", "/", b"", [], 10)
        asked = client.ask("POST", "/", body, [])
        assert asked is not None
        for _ in range(3):
            assert await client.hear(asked, 0.01) is None
        let.set()
        reply = await client.hear(asked, 30)
        assert reply is not None
        assert reply.body == b"ho"
        assert bytes(got) == body
        client.drop()


async def test_a_connection_that_is_closed_meanwhile_is_no_answer() -> None:
    """Whoever closed it."""

    async def answer_once(stream: trio.SocketStream) -> None:
        await saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(stream)
        await read_request(stream)
        await trio.sleep_forever()

    async with scripted(answer_once) as port, trio.open_nursery() as nursery:
        client = HttpConnection("127.0.0.1", port)
        await client.request("GET", "/", b"", [], 10)
        asked = client.ask("GET", "/", b"", [])
        assert asked is not None
        nursery.start_soon(client.aclose)
        with pytest.raises(Unanswered):
            await client.hear(asked, 10)
        assert not client.ready
