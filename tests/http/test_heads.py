"""Heads that were seen before: a request is the same whether it was parsed or recalled."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from hermesd.http.heads import KnownHeads
from hermesd.http.limits import HttpLimits
from hermesd.http.parser import RequestParser
from hermesd.http.request import Request

POST = b"POST /jobs?a=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n"
LONG = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (len(GET) + 4)
EXPECT = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
HTTP10 = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
PIECES = [
    GET,
    POST,
    LONG,
    EXPECT,
    UPGRADE,
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
    b"Content-Length: 4\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    HTTP10,
    b"GET / HTTP/1.1\r\n\r\n",
    b"4\r\nbody\r\n0\r\n\r\n",
    b"body",
    b"\r\n\r\n",
    b"\r\n",
    b"GE",
    b"T / HTTP/1.1\r\n",
]


def known() -> KnownHeads:
    """Heads of which a parser has seen all PIECES that are whole requests."""
    heads = KnownHeads()
    for piece in PIECES:
        for body in (b"", b"body"):
            RequestParser(HttpLimits(), heads).feed(piece + body)
    return heads


KNOWN = known()


def seen(request: Request) -> tuple[Any, ...]:
    return (
        request.method,
        request.target,
        request.headers,
        b"".join(request.chunks),
        request.complete,
        request.keep_alive,
        request.http10,
        request.expects_continue,
    )


def parsed(reads: list[bytes], heads: KnownHeads) -> tuple[list[tuple[Any, ...]], object, bool]:
    """What comes of `reads`, and how the parser stands after them."""
    parser = RequestParser(HttpLimits(), heads)
    requests: list[Request] = []
    for read in reads:
        if parser.refusal is None:
            parser.feed(read)
        requests += parser.requests  # as a connection takes them, before it reads on
        parser.requests.clear()
    status = parser.refusal and parser.refusal.status
    return [seen(request) for request in requests], status, parser.receiving is None


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map(b"".join), max_size=5))
@example([POST + b"body\r\n", POST + b"body"])
@example([GET + b"GE", GET])
@example([POST, b"bo", b"dy", GET, GET])
@example([LONG, b"body", GET, GET])
@example([EXPECT + b"body", GET])
@example([UPGRADE, UPGRADE])
@example([HTTP10, HTTP10])
@example([GET, b"\r\n\r\n", GET])
@example([b"POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\n\r\n\r\n\r\n\r\n", GET])
def test_what_is_recalled_is_what_would_be_parsed(reads: list[bytes]) -> None:
    """The same bytes one by one, which no head can be recalled from, say the same."""
    bytewise = [bytes([byte]) for byte in b"".join(reads)]
    assert parsed(reads, KNOWN) == parsed(bytewise, KnownHeads())


def test_a_recalled_request_shares_nothing_with_the_next() -> None:
    """An app that changes its headers changes those of its own request only."""
    parser = RequestParser(HttpLimits(), KnownHeads())
    for _ in range(3):
        parser.feed(POST + b"body")
        request = parser.requests.popleft()
        assert request.headers == [(b"host", b"a"), (b"content-length", b"4")]
        assert request.chunks == [b"body"]
        request.headers.clear()
        request.chunks.clear()


def test_heads_without_end_are_not_kept_without_end() -> None:
    """A head per request, as idempotency keys make them, pushes out the older ones."""
    heads = KnownHeads()
    first = GET.replace(b"X-A: 1", b"X-A: first")
    RequestParser(HttpLimits(), heads).feed(first)
    assert heads.recall(first) is not None
    for number in range(1000):
        RequestParser(HttpLimits(), heads).feed(GET.replace(b"X-A: 1", b"X-A: %d" % number))
    assert heads.recall(first) is None


def test_a_client_whose_heads_never_repeat_adds_few() -> None:
    """Its heads are soon left alone, so they cost little and push out few others'."""
    heads = KnownHeads()
    parser = RequestParser(HttpLimits(), heads)
    sent = [GET.replace(b"X-A: 1", b"X-A: %d" % number) for number in range(100)]
    for head in sent:
        parser.feed(head)
        assert parser.requests.popleft().complete
    assert sum(heads.recall(head) is not None for head in sent) < 20
