"""Requests: what is understood, what is refused, and how."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from hermesd.http.asgi import Receive, Scope, Send
from hermesd.http.limits import HttpLimits

Start = Callable[..., Any]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what the app saw."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "version": scope["http_version"],
        "host": dict(scope["headers"]).get(b"host", b"").decode(),
        "body": body.decode("latin-1"),
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


def get(path: str = "/", extra: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{extra}\r\n".encode("latin-1")


def post(body: bytes, extra: str = "") -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


async def test_a_connection_serves_one_request_after_another(start: Start) -> None:
    """Keep-alive is the default of HTTP/1.1."""
    peer = await (await start(echo)).dial()
    for number in range(3):
        reply = await peer.ask(get(f"/{number}?q={number}"))
        assert reply.status == 200
        assert "connection" not in reply.headers
        assert json.loads(reply.body)["path"] == f"/{number}"
        assert json.loads(reply.body)["query"] == f"q={number}"


async def test_an_ordinary_client_is_served(start: Start) -> None:
    """httpx gets its answer, with Date and Server."""
    server = await start(echo)
    async with httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{server.port}/a%20b%2Fc?x=1"
        reply = await client.post(url, content=b"hello")
    assert reply.json()["path"] == "/a b/c"
    assert reply.json()["body"] == "hello"
    assert reply.headers["server"] == "hermesd"
    assert reply.headers["date"].endswith("GMT")


async def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    """Requests sent at once, bodies among them, come back one by one."""
    peer = await (await start(echo)).dial()
    await peer.send(b"".join(get(f"/{n}") + post(b"body%d" % n) for n in range(10)))
    for number in range(10):
        assert json.loads((await peer.reply()).body)["path"] == f"/{number}"
        assert json.loads((await peer.reply()).body)["body"] == f"body{number}"


async def test_pipelining_past_the_limit_ends_the_connection_after_the_limit(start: Start) -> None:
    """The requests within the limit are answered, the last of them with close."""
    peer = await (await start(echo, HttpLimits(max_pipelined=3))).dial()
    await peer.send(b"".join(get(f"/{n}") for n in range(5)))
    replies = [await peer.reply() for _ in range(3)]
    assert [json.loads(reply.body)["path"] for reply in replies] == ["/0", "/1", "/2"]
    assert [reply.headers.get("connection") for reply in replies] == [None, None, "close"]
    assert await peer.rest() == b""


async def test_a_request_may_come_byte_by_byte(start: Start) -> None:
    """Fragmentation changes nothing."""
    peer = await (await start(echo)).dial()
    for byte in post(b"slow"):
        await peer.send(bytes([byte]))
    assert json.loads((await peer.reply()).body)["body"] == "slow"


async def test_a_chunked_body_is_put_together(start: Start) -> None:
    """Extensions and trailers are read and dropped, and the next request is served."""
    peer = await (await start(echo)).dial()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b'4;x="y"\r\nWiki\r\n5\r\npedia\r\n0\r\nHost: evil\r\nTrailer: t\r\n\r\n'
    await peer.send(head + body + get("/next"))
    first = json.loads((await peer.reply()).body)
    assert (first["body"], first["host"]) == ("Wikipedia", "a")
    assert json.loads((await peer.reply()).body)["path"] == "/next"


async def test_http_1_0_is_closed_unless_it_asks_to_stay(start: Start) -> None:
    """An HTTP/1.0 client keeps its connection only with Connection: keep-alive."""
    server = await start(echo)
    peer = await server.dial()
    reply = await peer.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert reply.headers["connection"] == "keep-alive"
    reply = await peer.ask(b"GET / HTTP/1.0\r\n\r\n")
    assert json.loads(reply.body)["version"] == "1.0"
    assert reply.headers["connection"] == "close"
    assert await peer.rest() == b""


async def test_connection_close_is_obeyed(start: Start) -> None:
    """The answer says close, and the connection is."""
    peer = await (await start(echo)).dial()
    reply = await peer.ask(get("/", "Connection: close\r\n"))
    assert reply.headers["connection"] == "close"
    assert await peer.rest() == b""


async def test_a_client_that_ends_its_side_is_still_answered(start: Start) -> None:
    """A half-closed connection gets the answers to what it sent."""
    peer = await (await start(echo)).dial()
    await peer.send(get("/a") + get("/b"))
    await peer.stream.send_eof()
    assert [json.loads((await peer.reply()).body)["path"] for _ in range(2)] == ["/a", "/b"]
    assert await peer.rest() == b""


async def test_the_absolute_form_names_the_host(start: Start) -> None:
    """RFC 9112 3.2.2: the authority of the target replaces the Host field."""
    peer = await (await start(echo)).dial()
    seen = json.loads((await peer.ask(get("http://x.example:80/p?q"))).body)
    assert (seen["host"], seen["path"], seen["query"]) == ("x.example:80", "/p", "q")
    seen = json.loads((await peer.ask(get("http://x.example?q"))).body)
    assert (seen["path"], seen["query"]) == ("/", "q")


async def test_100_continue_is_sent_when_the_app_wants_the_body(start: Start) -> None:
    """The interim answer precedes the body, and the final answer follows."""
    peer = await (await start(echo)).dial()
    head, body = post(b"later", "Expect: 100-continue\r\n").split(b"later")
    await peer.send(head + body)
    assert await peer.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert json.loads((await peer.ask(b"later")).body)["body"] == "later"


async def test_100_continue_is_not_sent_to_a_client_that_is_refused(start: Start) -> None:
    """An app that answers without reading closes the connection: the body never comes."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body"})

    peer = await (await start(refuse)).dial()
    reply = await peer.ask(post(b"later", "Expect: 100-continue\r\n").removesuffix(b"later"))
    assert (reply.status, reply.headers["connection"]) == (401, "close")
    assert await peer.rest() == b""


@pytest.mark.parametrize(
    "fields",
    ["Connection: upgrade\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n"],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upgrade_is_ignored(start: Start, fields: str, chunked: bool) -> None:
    """The request is served as plain HTTP/1.1, its body too, and so is the next one."""
    peer = await (await start(echo)).dial()
    await peer.send(get("/a", fields))
    if chunked:
        head = f"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{fields}\r\n"
        await peer.send(head.encode() + b"3\r\nGET\r\n0\r\n\r\n")
    else:
        await peer.send(post(b"GET", fields))
    await peer.send(get("/c"))
    bodies = [json.loads((await peer.reply()).body)["body"] for _ in range(3)]
    assert bodies == ["", "GET", ""]


def line(text: str, fields: str = "Host: a\r\n") -> bytes:
    return f"{text}\r\n{fields}\r\n".encode("latin-1")


CHUNKED = "Host: a\r\nTransfer-Encoding: "
REFUSED = {
    "length and chunked": (
        400,
        line("POST / HTTP/1.1", CHUNKED + "chunked\r\nContent-Length: 3\r\n"),
    ),
    "chunked and length": (
        400,
        line("POST / HTTP/1.1", "Host: a\r\nContent-Length: 3\r\n" + CHUNKED[9:] + "chunked\r\n"),
    ),
    "two lengths": (
        400,
        line("POST / HTTP/1.1", "Host: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n"),
    ),
    "a list of lengths": (400, line("POST / HTTP/1.1", "Host: a\r\nContent-Length: 3, 4\r\n")),
    "a signed length": (400, line("POST / HTTP/1.1", "Host: a\r\nContent-Length: +3\r\n")),
    "an enormous length": (
        400,
        line("POST / HTTP/1.1", "Host: a\r\nContent-Length: " + "9" * 40 + "\r\n"),
    ),
    "no host": (400, line("GET / HTTP/1.1", "")),
    "two hosts": (400, line("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n")),
    "an invalid host": (400, line("GET / HTTP/1.1", "Host: a b\r\n")),
    "a folded field": (400, line("GET / HTTP/1.1", "Host: a\r\nX: y\r\n z\r\n")),
    "space before the colon": (400, line("GET / HTTP/1.1", "Host : a\r\n")),
    "bare line feeds": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "a bare carriage return": (400, line("GET / HTTP/1.1", "Host: a\rX: y\r\n")),
    "a NUL": (400, line("GET / HTTP/1.1", "Host: a\r\nX: \0\r\n")),
    "garbage": (400, b"\x00\xff\xfe garbage\r\n\r\n"),
    "a TLS hello": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "an HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/0.9": (505, b"GET /\r\n\r\n"),
    "an unknown version": (400, line("GET / HTTP/3.7")),
    "an unknown method": (400, line("BREW / HTTP/1.1")),
    "a target without a slash": (400, line("GET jobs HTTP/1.1")),
    "a target outside ASCII": (400, "GET /é HTTP/1.1\r\nHost: a\r\n\r\n".encode()),
    "an absolute target with credentials": (400, line("GET http://u:p@x/ HTTP/1.1")),
    "CONNECT": (501, line("CONNECT a:80 HTTP/1.1")),
    "gzip, chunked": (501, line("POST / HTTP/1.1", CHUNKED + "gzip, chunked\r\n")),
    "gzip alone": (400, line("POST / HTTP/1.1", CHUNKED + "gzip\r\n")),
    "chunked twice": (
        400,
        line("POST / HTTP/1.1", CHUNKED + "chunked\r\n" + CHUNKED[9:] + "chunked\r\n"),
    ),
    "chunked in HTTP/1.0": (400, line("POST / HTTP/1.0", CHUNKED + "chunked\r\n")),
    "a bad chunk size": (400, line("POST / HTTP/1.1", CHUNKED + "chunked\r\n") + b"zz\r\n"),
    "an enormous chunk size": (400, line("POST / HTTP/1.1", CHUNKED + "chunked\r\n") + b"f" * 20),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_rfc_9112_forbids_is_refused_and_closed(start: Start, case: str) -> None:
    """The answer is a problem document with close, after it the end; others are served on."""
    status, data = REFUSED[case]
    server = await start(echo)
    peer = await server.dial()
    reply = await peer.ask(get("/before") + data)
    assert json.loads(reply.body)["path"] == "/before"
    reply = await peer.reply()
    assert reply.status == status
    assert reply.headers["connection"] == "close"
    assert reply.headers["content-type"] == "application/problem+json"
    problem = msgspec.json.decode(reply.body)
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert problem["title"]
    assert problem["detail"]
    await peer.stream.aclose()
    assert (await (await server.dial()).ask(get())).status == 200
    assert server.log.entries == []
