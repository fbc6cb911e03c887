"""Requests that an app takes without a task: what the client sees is the same."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from hermesd.http.asgi import Headers, Receive, Scope, Send
from hermesd.http.limits import HttpLimits
from hermesd.http.prompt import Reply, Take
from hermesd.http.transport import RECEIVE_BYTES

Start = Callable[..., Any]


def post(body: bytes, path: bytes = b"/prompt") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Say that it was here, and what it got."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"app: " + body})


class Counter:
    """Takes what is posted to /prompt; the test replies, or `instantly` each is replied to."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Reply]] = []
        self.come = trio.Event()
        self.instantly = False
        self.willing = True

    def prompt(self, method: str, target: bytes, headers: Headers) -> Take | None:
        """See Prompt."""
        return self.take if (method, target) == ("POST", b"/prompt") else None

    def take(self, body: bytes, reply: Reply) -> bool:
        """See Take."""
        if body == b"fail":
            raise RuntimeError("a defect")
        if body == b"lame":
            reply(202, [], b"before the defect")
            raise RuntimeError("a defect")
        if not self.willing:
            return False
        if self.instantly:
            reply(202, [(b"x-by", b"prompt")], b"prompt: " + body)
        else:
            self.asked.append((body, reply))
            self.come.set()
        return True

    async def next(self) -> tuple[bytes, Reply]:
        """The next request that was taken."""
        await self.come.wait()
        self.come = trio.Event()
        return self.asked.pop()


@pytest.fixture
def counter() -> Counter:
    return Counter()


async def known(start: Start, counter: Counter, **options: Any) -> tuple[Any, Any]:
    """A server, and a client whose heads it has seen once."""
    server = await start(app, prompt=counter.prompt, **options)
    peer = await server.dial()
    for body in (b"head", b"12345"):
        assert (await peer.ask(post(body))).body == b"app: " + body
    return server, peer


async def test_a_known_head_is_served_by_the_prompt(start: Start, counter: Counter) -> None:
    """At once or later, again and again; others are the app's, and so are unknown heads."""
    counter.instantly = True
    _, peer = await known(start, counter)
    for _ in range(3):
        reply = await peer.ask(post(b"body"))
        assert (reply.status, reply.body) == (202, b"prompt: body")
        assert reply.headers["x-by"] == "prompt"
        assert "connection" not in reply.headers
        assert (await peer.ask(post(b"body", b"/app"))).body == b"app: body"
        assert (await peer.ask(post(b"other length"))).body.endswith(b": other length")
    counter.instantly = False
    await peer.send(post(b"late"))
    body, answer = await counter.next()
    answer(200, [], body)
    assert (await peer.reply()).body == b"late"
    assert (await peer.ask(post(b"body", b"/app"))).body == b"app: body"


async def test_what_the_prompt_does_not_take_is_the_apps(start: Start, counter: Counter) -> None:
    """With its whole body, and the connection goes on."""
    counter.instantly = True
    _, peer = await known(start, counter)
    for willing in (False, True, False, False, True):
        counter.willing = willing
        reply = await peer.ask(post(b"body"))
        assert reply.body == (b"prompt: body" if willing else b"app: body")


async def test_a_request_in_pieces_is_the_apps(start: Start, counter: Counter) -> None:
    """And so is one that fills a whole read, behind which there may be more."""
    counter.instantly = True
    _, peer = await known(start, counter)
    whole = post(b"body")
    await peer.send(whole[:-2])
    await trio.testing.wait_all_tasks_blocked()
    await peer.send(whole[-2:])
    assert (await peer.reply()).body == b"app: body"
    large = b"x" * (RECEIVE_BYTES - len(post(b"x" * 60000)) + 60000)
    assert len(post(large)) == RECEIVE_BYTES
    for _ in range(3):
        assert (await peer.ask(post(large) + post(b"body"))).body.endswith(large)
        assert (await peer.reply()).body.endswith(b": body")


async def test_answers_keep_the_order_of_their_requests(start: Start, counter: Counter) -> None:
    """What is sent ahead of an answer waits for it, whoever serves it."""
    _, peer = await known(start, counter)
    more = post(b"next", b"/app")
    for ahead in (more, post(b"next"), post(b"head") + more):
        await peer.send(post(b"body"))
        body, answer = await counter.next()
        await peer.send(ahead)
        await trio.testing.wait_all_tasks_blocked()
        answer(200, [], body)
        assert (await peer.reply()).body == b"body"
        if ahead.count(b"POST") == 2:
            assert (await peer.reply()).body == b"app: head"
        assert (await peer.reply()).body == b"app: next"


@pytest.mark.parametrize("body", [b"fail", b"1234\r"])
async def test_a_defect_is_a_500_and_the_connection_goes_on(
    start: Start, counter: Counter, body: bytes
) -> None:
    """Whether the prompt raises or what it replies cannot be sent."""
    server, peer = await known(start, counter)
    await peer.send(post(body))
    if body != b"fail":
        _, answer = await counter.next()
        answer(200, [(b"x-field", body)], b"")
    assert (await peer.reply()).status == 500
    assert [entry["event"] for entry in server.log.entries] == ["http app failed"]
    counter.instantly = True
    assert (await peer.ask(post(b"body"))).body == b"prompt: body"


async def test_one_request_gets_one_answer(start: Start, counter: Counter) -> None:
    """Also where the app fails after it, or replies again."""
    _, peer = await known(start, counter)
    await peer.send(post(b"lame"))
    assert (await peer.reply()).body == b"before the defect"
    await peer.send(post(b"once"))
    _, reply = await counter.next()
    reply(202, [], b"first")
    reply(202, [], b"second")
    assert (await peer.reply()).body == b"first"
    counter.instantly = True
    await peer.send(post(b"more"))
    assert (await peer.reply()).body == b"prompt: more"


async def test_a_client_that_leaves_harms_nobody(start: Start, counter: Counter) -> None:
    """Neither before its answer nor with its request."""
    server, peer = await known(start, counter)
    other = await server.dial()
    await peer.send(post(b"body"))
    body, answer = await counter.next()
    await peer.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    answer(200, [], body)
    counter.instantly = True
    assert (await other.ask(post(b"body"))).body == b"prompt: body"
    await other.send(post(b"body"))
    await other.stream.send_eof()
    assert (await other.reply()).body.endswith(b": body")
    assert await other.rest() == b""


async def test_a_client_that_reads_slowly_gets_all_of_its_answer(
    start: Start, counter: Counter
) -> None:
    """And is served on; also one that has sent more meanwhile."""
    _, peer = await known(start, counter)
    large = bytes(16 * 1024 * 1024)
    for ahead in (b"", post(b"next", b"/app"), post(b"next", b"/app")[:20]):
        await peer.send(post(b"body"))
        _, answer = await counter.next()
        await peer.send(ahead)
        await trio.testing.wait_all_tasks_blocked()
        answer(200, [], large)
        await trio.testing.wait_all_tasks_blocked()
        assert (await peer.reply()).body == large
        await peer.send(post(b"next", b"/app")[len(ahead) :])
        assert (await peer.reply()).body == b"app: next"


async def test_a_drain_waits_for_what_the_prompt_has_taken(start: Start, counter: Counter) -> None:
    """It is answered, also after the time of the drain, and then the connection is closed."""
    for seconds in (3600.0, 0.0):
        server, peer = await known(start, counter, drain_seconds=seconds)
        await peer.send(post(b"body"))
        body, answer = await counter.next()
        server.stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        assert not server.stopped.is_set()
        answer(200, [], body)
        reply = await peer.reply()
        assert (reply.body, reply.headers["connection"]) == (b"body", "close")
        await server.ended()
        assert await peer.rest() == b""


async def test_a_slow_reader_is_served_to_the_end_in_a_drain(
    start: Start, counter: Counter
) -> None:
    """Its answer is not cut off, and nothing follows it."""
    server, peer = await known(start, counter)
    await peer.send(post(b"body"))
    _, answer = await counter.next()
    await peer.send(post(b"next", b"/app"))
    server.stopping.set()
    await trio.testing.wait_all_tasks_blocked()
    large = bytes(16 * 1024 * 1024)
    answer(200, [], large)
    await trio.testing.wait_all_tasks_blocked()
    assert (await peer.reply()).body == large
    await server.ended()
    assert await peer.rest() == b""


async def test_only_the_client_has_deadlines(start: Start, counter: Counter) -> None:
    """A request under way is not idle, however long it takes; after its answer it is again."""
    _, peer = await known(start, counter, limits=HttpLimits(idle_seconds=0.1, header_seconds=0.1))
    await peer.send(post(b"body"))
    body, answer = await counter.next()
    with trio.move_on_after(0.5) as waited:
        await peer.reply()
    assert waited.cancelled_caught
    answer(200, [], body)
    assert (await peer.reply()).body == b"body"
    assert await peer.rest() == b""


async def test_over_tls_all_is_the_apps(start: Start, counter: Counter) -> None:
    """Bytes on the socket are not those of requests there."""
    counter.instantly = True
    _, peer = await known(start, counter, tls=True)
    assert (await peer.ask(post(b"body"))).body == b"app: body"


async def test_many_connections_are_served_beside_each_other(
    start: Start, counter: Counter
) -> None:
    """Whichever task looks after the epoll, and when that leaves."""
    counter.instantly = True
    server, first = await known(start, counter)
    peers = [first, *[await server.dial() for _ in range(8)]]
    while peers:
        for peer in peers:
            await peer.send(post(b"body"))
        for peer in peers:
            assert (await peer.reply()).body == b"prompt: body"
        leaving = peers.pop(0)
        await leaving.stream.aclose()


async def test_what_waits_behind_an_answer_is_not_overtaken(start: Start, counter: Counter) -> None:
    """Bytes that come between the answer and the next step of the connection's task come after."""
    server, peer = await known(start, counter)
    _other = await server.dial()  # its task looks after the epoll meanwhile
    for _ in range(20):  # which of two tasks goes first is up to chance
        counter.instantly = False
        await peer.send(post(b"body"))
        body, answer = await counter.next()
        await peer.send(post(b"next"))
        await trio.testing.wait_all_tasks_blocked()
        counter.instantly = True
        os.write(peer.stream.socket.fileno(), post(b"last"))
        answer(200, [], body)
        replies = [(await peer.reply()).body[-4:] for _ in range(3)]
        assert replies == [b"body", b"next", b"last"]
