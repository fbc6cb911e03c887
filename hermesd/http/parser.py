"""Bytes of one connection to requests, refusing what RFC 9112 or the limits forbid."""

import re
from collections import deque
from typing import NamedTuple, NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from hermesd.http.asgi import Headers
from hermesd.http.heads import Head, KnownHeads
from hermesd.http.limits import HttpLimits
from hermesd.http.request import Request

# Fields that decide about framing or validity; all others are only passed on.
_WATCHED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_REPEATABLE = frozenset({b"expect", b"upgrade"})
# So many heads in a row that were new, and a client's further ones are not looked up any more:
# they differ each time, and each look-up that fails costs 2 µs (measured).
_MAX_NEW_HEADS = 16
# RFC 3986 3.2.2 reg-name, IPv4 or bracketed IPv6, with an optional port; empty is allowed.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")


class Refusal(NamedTuple):
    """Why a request is not served: the status and detail of the last response."""

    status: int
    detail: str


class RequestParser:
    """Feeds llhttp and collects requests in order of arrival.

    `requests` are complete up to their headers and not yet taken. Once `refusal` is set nothing
    more is parsed: the connection answers what stands in `requests` and then refuses. The
    request whose body is still arriving is `receiving`.
    """

    def __init__(self, limits: HttpLimits, heads: KnownHeads) -> None:
        self.requests: deque[Request] = deque()
        self.receiving: Request | None = None
        self.refusal: Refusal | None = None
        self._limits = limits
        self._heads = heads
        self._parser = HttpRequestParser(self)
        self._between = True  # surely at the first byte of a request
        self._new_heads = 0
        self._replaying = False
        self._silent_bytes = 0
        self._body_bytes = 0
        self._known_host = b""
        self._start_head()

    @property
    def head_begun(self) -> bool:
        """Whether a request has been begun whose headers are not complete."""
        return bool(self._target) or self._silent_bytes > 0

    def feed(self, data: bytes) -> None:
        """Parse `data`. Never raises: faults are left in `refusal`."""
        if not data:  # llhttp would report an empty piece of a body
            return
        known = self.recall(data)
        if known is not None:
            head, body = known
            self.requests.append(head.request(body))
            return
        between = self._between and not self.requests and self._new_heads < _MAX_NEW_HEADS
        body_bytes = self._body_bytes
        self._silent_bytes += len(data)
        self._parse(data)
        if between:
            self._between = self._learn(data)
        else:
            # Nothing but a body's bytes, the last one among them.
            all_body = self._body_bytes - body_bytes == len(data)
            self._between = all_body and self.receiving is None and self.refusal is None
        # Bytes that yield neither a whole head nor a body byte are a head, chunk extensions
        # or trailers under way: all of them buffered or burnt for nothing. They are counted
        # from the first read that brings nothing else, so up to one read more gets through.
        if self._silent_bytes > self._limits.max_header_bytes and self.refusal is None:
            part = "headers" if self.receiving is None else "trailers or chunk extensions"
            self.refusal = self._too_long(part)

    def recall(self, data: bytes) -> tuple[Head, bytes] | None:
        """The one whole request that `data` is; None where that takes parsing."""
        if not self._between or self.requests or self._new_heads >= _MAX_NEW_HEADS:
            return None
        known = self._heads.recall(data)
        if known is not None:
            self._new_heads = 0
        return known

    def _learn(self, data: bytes) -> bool:
        """Whether `data` was one whole request that the same bytes would always make."""
        self._new_heads += 1
        if len(self.requests) != 1 or self.receiving is not None or self.refusal is not None:
            return False
        return self._heads.learn(data, self.requests[0])

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._stay_plain(data[upgrade.args[0] :])
        except HttpParserError as error:
            if self.refusal is None:
                self.refusal = Refusal(400, str(error))

    def _stay_plain(self, rest: bytes) -> None:
        # An Upgrade may be ignored (RFC 9110 7.8), but llhttp then takes even the body for the
        # other protocol. A new parser that has seen the same framing reads it as the body.
        request = self.receiving
        self._parser = HttpRequestParser(self)
        if request is not None and request.framing is not None:
            request.upgrading = False
            self._replaying = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % request.framing)
        elif request is not None:
            self._finish(request)
        self._parse(rest)

    # The callbacks of httptools.

    def on_url(self, target: bytes) -> None:
        self._target += target
        if len(self._target) > self._limits.max_target_bytes:
            limit = self._limits.max_target_bytes
            self._refuse(414, f"the request target is longer than {limit} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.receiving is not None or self._replaying:
            return  # trailers are dropped (RFC 9110 6.5.1)
        name = name.lower()
        value = value.rstrip(b" \t")
        self._headers.append((name, value))
        if name in _WATCHED:
            if name in self._watched and name not in _REPEATABLE:
                self._refuse(400, f"more than one {name.decode()} field")
            self._watched[name] = value

    def on_headers_complete(self) -> None:
        if self._replaying:
            self._replaying = False
            self._target = b""
            return
        parser, watched, limits = self._parser, self._watched, self._limits
        headers = self._headers
        if self._silent_bytes > limits.max_header_bytes:
            self._measure()
        if len(headers) > limits.max_headers:
            self._refuse(431, f"more than {limits.max_headers} header fields")
        if len(self.requests) >= limits.max_pipelined:
            self.requests[-1].keep_alive = False
            self._refuse(503, "too many pipelined requests")
        request = Request(parser.get_method().decode(), self._target, headers)
        self._check_version(request, parser.get_http_version())
        if watched.get(b"host") != self._known_host or request.http10:
            self._check_host(request)
        # A lone Host, the most common head by far, says nothing about framing.
        if len(watched) > 1 or b"host" not in watched:
            self._check_framing(request)
            request.upgrading = parser.should_upgrade()
        if self._target[:1] != b"/":
            self._check_target(request)
        if not parser.should_keep_alive():
            request.keep_alive = False
        self.requests.append(request)
        self.receiving = request
        self._start_head()

    def on_body(self, data: bytes) -> None:
        request = self.receiving
        if request is None:  # cannot be: a body follows a head
            return
        self._silent_bytes = 0
        self._body_bytes += len(data)
        if self._body_bytes > self._limits.max_body_bytes:
            self._refuse_body()
        request.chunks.append(data)

    def on_message_complete(self) -> None:
        request = self.receiving
        if request is not None and not request.upgrading:
            self._finish(request)

    # The checks of one head.

    def _start_head(self) -> None:
        self._target = b""
        self._headers: Headers = []
        self._watched: dict[bytes, bytes] = {}
        self._silent_bytes = 0
        self._body_bytes = 0

    def _finish(self, request: Request) -> None:
        request.complete = True
        self.receiving = None
        self._silent_bytes = 0

    def _measure(self) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in self._headers)
        if size > self._limits.max_header_bytes:
            self.refusal = self._too_long("headers")
            raise ValueError

    def _too_long(self, part: str) -> Refusal:
        return Refusal(431, f"{part} of more than {self._limits.max_header_bytes} bytes")

    def _check_version(self, request: Request, version: str) -> None:
        if version == "1.1":
            return
        if version != "1.0":
            self._refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken")
        request.http10 = True

    def _check_host(self, request: Request) -> None:
        host = self._watched.get(b"host")
        if host is None:
            if not request.http10:
                self._refuse(400, "no host field (RFC 9112 3.2)")
        elif _HOST.fullmatch(host) is None:
            self._refuse(400, "invalid host field (RFC 9112 3.2)")
        else:
            self._known_host = host

    def _check_framing(self, request: Request) -> None:
        watched = self._watched
        coding = watched.get(b"transfer-encoding")
        if coding is not None:
            self._check_coding(coding.lower(), request)
            request.framing = b"transfer-encoding: chunked"
        length = int(watched.get(b"content-length", b"0"))
        if length > self._limits.max_body_bytes:
            self._refuse_body()
        if length > 0:
            request.framing = b"content-length: %d" % length
        if b"expect" in watched and not request.http10:
            request.expects_continue = watched.get(b"expect", b"").lower() == b"100-continue"

    def _check_coding(self, coding: bytes, request: Request) -> None:
        if request.http10:
            self._refuse(400, "transfer-encoding in HTTP/1.0 (RFC 9112 6.1)")
        if coding != b"chunked":
            if coding.rpartition(b",")[2].strip() == b"chunked":
                self._refuse(501, "no transfer coding but chunked is understood (RFC 9112 6.1)")
            self._refuse(400, "the last transfer coding is not chunked (RFC 9112 6.3)")

    def _check_target(self, request: Request) -> None:
        if request.method == "CONNECT":
            self._refuse(501, "CONNECT is not served")
        if request.target == b"*" and request.method == "OPTIONS":
            return
        _, separator, rest = request.target.partition(b"://")
        if not separator:
            self._refuse(400, "invalid request target (RFC 9112 3.2)")
        # The absolute form: its authority replaces Host (RFC 9112 3.2.2).
        end = re.search(rb"[/?]", rest)
        host, path = (rest[: end.start()], rest[end.start() :]) if end else (rest, b"/")
        if not host or _HOST.fullmatch(host) is None:
            self._refuse(400, "invalid authority in the request target (RFC 9112 3.2.2)")
        request.target = path if path.startswith(b"/") else b"/" + path
        fields = [(name, value) for name, value in request.headers if name != b"host"]
        request.headers = [(b"host", host), *fields]

    def _refuse_body(self) -> NoReturn:
        self._refuse(413, f"a body of more than {self._limits.max_body_bytes} bytes")

    def _refuse(self, status: int, detail: str) -> NoReturn:
        # llhttp stops at an exception out of a callback; `_parse` keeps the first refusal.
        if self.refusal is None:
            self.refusal = Refusal(status, detail)
        raise ValueError(detail)
