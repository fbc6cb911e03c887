"""Responses: framing, streaming, and apps that break the contract."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from hermesd.http.asgi import App, Headers, Receive, Scope, Send

Start = Callable[..., Any]
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n"


def answering(status: int, headers: Headers, *pieces: bytes) -> App:
    """An app that answers with `pieces`, one message each."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": pieces[-1]})

    return app


async def test_a_whole_body_gets_its_length(start: Start) -> None:
    """An app that sends one message need not count."""
    peer = await (await start(answering(200, [(b"x-a", b"1")], b"hello"))).dial()
    for _ in range(2):
        reply = await peer.ask(GET)
        assert reply.body == b"hello"
        assert reply.headers["x-a"] == "1"
        assert reply.headers["content-length"] == "5"


async def test_a_body_in_pieces_is_chunked(start: Start) -> None:
    """Without a content-length the pieces are chunks, and the connection stays."""
    peer = await (await start(answering(200, [], b"one", b"", b"two", b""))).dial()
    for _ in range(2):
        reply = await peer.ask(GET)
        assert reply.headers["transfer-encoding"] == "chunked"
        assert reply.body == b"onetwo"


async def test_a_body_in_pieces_with_its_length_is_not_chunked(start: Start) -> None:
    """The app's content-length frames the pieces."""
    peer = await (await start(answering(200, [(b"Content-Length", b"6")], b"one", b"two"))).dial()
    for _ in range(2):
        reply = await peer.ask(GET)
        assert "transfer-encoding" not in reply.headers
        assert reply.body == b"onetwo"


async def test_a_stream_to_http_1_0_ends_with_the_connection(start: Start) -> None:
    """HTTP/1.0 knows no chunks."""
    peer = await (await start(answering(200, [], b"one", b"two"))).dial()
    await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = (await peer.rest()).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert body == b"onetwo"


@pytest.mark.parametrize("pieces", [(b"hello",), (b"he", b"llo")])
@pytest.mark.parametrize("length", [[], [(b"content-length", b"5")]])
async def test_head_has_the_fields_of_get_and_no_body(
    start: Start, pieces: tuple[bytes, ...], length: Headers
) -> None:
    """The next response follows directly on the head."""
    peer = await (await start(answering(200, length, *pieces))).dial()
    await peer.send(HEAD)
    head = await peer.reply(head_only=True)
    full = await peer.ask(GET)
    assert full.body == b"hello"
    assert {**head.headers, "date": ""} == {**full.headers, "date": ""}


@pytest.mark.parametrize("pieces", [(b"",), (b"", b"")])
@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body_have_no_framing(
    start: Start, status: int, pieces: tuple[bytes, ...]
) -> None:
    """204 and 304 end with their head."""
    peer = await (await start(answering(status, [], *pieces))).dial()
    for _ in range(2):
        await peer.send(GET)
        reply = await peer.reply(head_only=True)
        assert reply.status == status
        assert "content-length" not in reply.headers
        assert "transfer-encoding" not in reply.headers


async def test_each_piece_of_a_stream_is_flushed(start: Start) -> None:
    """A server-sent event reaches the client while the app is waiting."""
    go_on = trio.Event()

    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        fields = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    peer = await (await start(events)).dial()
    await peer.send(GET)
    await peer.until(b"\r\n\r\n")
    assert await peer.chunk() == b"data: 1\n\n"
    go_on.set()
    assert await peer.chunk() == b"data: 2\n\n"
    assert await peer.chunk() == b""


async def test_request_and_response_bodies_may_overlap(start: Start) -> None:
    """An app may answer piece by piece what it reads piece by piece."""

    async def parrot(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            body = message["body"]
            await send({"type": "http.response.body", "body": body, "more_body": more})

    peer = await (await start(parrot)).dial()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    await peer.until(b"\r\n\r\n")
    assert await peer.chunk() == b"one"
    await peer.send(b"3\r\ntwo\r\n")
    assert await peer.chunk() == b"two"
    await peer.send(b"0\r\n\r\n")
    assert await peer.chunk() == b""


BAD_HEADERS: dict[str, Headers] = {
    "CR and LF in a value": [(b"x", b"a\r\nSet-Cookie: b")],
    "LF in a value": [(b"x", b"a\nb")],
    "NUL in a value": [(b"x", b"a\0b")],
    "CR and LF in a name": [(b"x\r\ny", b"a")],
    "a space in a name": [(b"x y", b"a")],
    "an empty name": [(b"", b"a")],
    "two lengths": [(b"content-length", b"1"), (b"content-length", b"2")],
    "no number for a length": [(b"content-length", b"five")],
    "a wrong length": [(b"content-length", b"4")],
}


@pytest.mark.parametrize("case", BAD_HEADERS)
async def test_fields_that_cannot_be_sent_become_a_500(start: Start, case: str) -> None:
    """Nothing of a bad head reaches the wire, and the fault is logged once."""
    server = await start(answering(200, BAD_HEADERS[case], b"hello"))
    peer = await server.dial()
    reply = await peer.ask(GET)
    assert reply.status == 500
    assert "set-cookie" not in reply.headers
    assert [entry["event"] for entry in server.log.entries] == ["http app failed"]


async def test_an_app_that_fails_is_answered_for(start: Start) -> None:
    """500 as a problem document, one log entry with the path, and the connection stays."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("secret detail")

    server = await start(fail)
    peer = await server.dial()
    reply = await peer.ask(GET)
    assert reply.headers["content-type"] == "application/problem+json"
    assert msgspec.json.decode(reply.body) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "the request could not be served",
    }
    (entry,) = server.log.entries
    assert (entry["event"], entry["method"], entry["path"]) == ("http app failed", "GET", "/x")
    assert isinstance(entry["exc_info"], RuntimeError)
    assert (await peer.ask(GET)).status == 500


async def test_an_app_that_fails_in_mid_response_has_its_connection_cut(start: Start) -> None:
    """The client sees a body that does not end properly."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError

    server = await start(fail)
    peer = await server.dial()
    await peer.send(GET)
    assert (await peer.rest()).endswith(b"\r\n\r\n4\r\nhalf\r\n")
    assert [entry["event"] for entry in server.log.entries] == ["http app failed"]


async def test_an_app_that_says_nothing_is_answered_for(start: Start) -> None:
    """An app that returns without a response is a 500 too."""

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        return

    server = await start(silent)
    peer = await server.dial()
    assert (await peer.ask(GET)).status == 500
    assert len(server.log.entries) == 1


@pytest.mark.parametrize("pieces", [(b"12345", b"6"), (b"12", b"34")])
async def test_a_stream_that_belies_its_length_is_cut(
    start: Start, pieces: tuple[bytes, ...]
) -> None:
    """Neither too much nor too little is passed off as whole."""
    server = await start(answering(200, [(b"content-length", b"5")], *pieces))
    peer = await server.dial()
    await peer.send(GET + GET)
    _, _, body = (await peer.rest()).partition(b"\r\n\r\n")
    assert body in (b"12345", b"12")
    assert len(server.log.entries) == 1


async def test_receive_after_the_response_says_disconnect(start: Start) -> None:
    """A task that listens for the client's end is woken by the response's end."""
    seen: list[str] = []

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

        async def listen() -> None:
            seen.append((await receive())["type"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
        seen.append((await receive())["type"])

    peer = await (await start(listening)).dial()
    for _ in range(2):
        assert (await peer.ask(GET)).body == b"ok"
    await peer.ask(GET)
    assert seen[:4] == ["http.disconnect"] * 4
