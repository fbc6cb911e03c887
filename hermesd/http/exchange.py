"""One request and its response, as an ASGI app sees them."""

from urllib.parse import unquote

import trio

from hermesd.http.asgi import Address, Headers, Message, Scope
from hermesd.http.channel import Channel
from hermesd.http.errors import BadResponse, ClientGone
from hermesd.http.request import Request
from hermesd.http.responses import ResponseWriter, bodiless, problem

_ASGI = {"version": "3.0", "spec_version": "2.4"}


def build_scope(
    request: Request, scheme: str, client: Address | None, server: Address | None
) -> Scope:
    """The ASGI 3.0 http scope of `request`."""
    raw_path, _, query = request.target.partition(b"?")
    path = raw_path.decode("ascii")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "1.0" if request.http10 else "1.1",
        "method": request.method,
        "scheme": scheme,
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": request.headers,
        "client": client,
        "server": server,
        "state": {},
    }


class Exchange:
    """`receive` and `send` of one request.

    The head is written with the first body message, in one piece with it, so until then an
    error can still become a response of its own (`written` is False). `reusable` says after a
    whole response (`done`) whether another request may follow on the connection.
    """

    __slots__ = (
        "_body_taken",
        "_channel",
        "_chunked",
        "_listening",
        "_remaining",
        "_request",
        "_start",
        "_writer",
        "done",
        "reusable",
        "written",
    )

    def __init__(self, request: Request, channel: Channel, writer: ResponseWriter) -> None:
        self._request = request
        self._channel = channel
        self._writer = writer
        self._body_taken = False
        self._start: tuple[int, Headers] | None = None
        self._chunked = False
        self._remaining: int | None = None
        self._listening: trio.CancelScope | None = None
        self.written = False
        self.done = False
        self.reusable = False

    async def receive(self) -> Message:
        """ASGI receive: body messages, then http.disconnect once the client or response ended."""
        request = self._request
        if not self._body_taken and not self.done:
            if not request.chunks and not request.complete:
                await self._await_body()
            if request.chunks or request.complete:
                chunks = request.chunks
                body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                chunks.clear()
                self._body_taken = request.complete
                return {"type": "http.request", "body": body, "more_body": not request.complete}
        if not self.done:
            with trio.CancelScope() as self._listening:
                await self._channel.wait_until_left()
        return {"type": "http.disconnect"}

    async def _await_body(self) -> None:
        if self._request.expects_continue and not self.written:
            self._request.expects_continue = False
            await self._channel.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            await self._channel.read_body(self._request)
        except ClientGone:
            self._channel.left = True

    async def send(self, message: Message) -> None:
        """ASGI send.

        ClientGone if the client left, BadResponse if the message breaks the contract. A response
        that is complete at once is written without a checkpoint where the socket takes it.
        """
        kind = message["type"]
        if kind == "http.response.body":
            if self._start is None or self.done:
                raise BadResponse("a response body before its start or after its end")
            body = message.get("body", b"")
            if message.get("more_body", False):
                await self._stream(body)
            elif self.written:
                await self._end_stream(body)
            else:
                # Not by a coroutine of its own: nearly every response goes out here, and at once.
                data = self._whole(body)
                sent = self._channel.write_now(data)
                if sent < len(data):
                    await self._channel.write_rest(memoryview(data)[sent:])
                self._finish()
        elif kind == "http.response.start":
            if self._start is not None:
                raise BadResponse("a response was started twice")
            self._start = (message["status"], list(message.get("headers", ())))
        else:
            raise BadResponse(f"unknown message type {kind!r}")

    async def fail(self) -> None:
        """Answer 500 in place of a response of which nothing is written yet."""
        headers, body = problem(500, "the request could not be served")
        self._start = (500, headers)
        await self._channel.write(self._whole(body))
        self._finish()

    def _whole(self, body: bytes) -> bytes:
        """Head and body of a response that is complete at once."""
        status, headers = self._start or (500, [])
        lines, length, close = self._writer.fields(headers)
        unsent = bodiless(status)
        if unsent:
            framing = b""
        elif length is None:
            framing = b"\r\nContent-Length: %d" % len(body)
        else:
            if length != len(body) and self._request.method != "HEAD":
                raise BadResponse("the response's body does not have its content-length")
            framing = b"\r\nContent-Length: %d" % length
        head = self._head(status, lines + framing, close)
        self.written = True
        return head if unsent or self._request.method == "HEAD" else head + body

    async def _stream(self, body: bytes) -> None:
        channel = self._channel
        if channel.left or channel.transport.client_left():
            channel.left = True
            raise ClientGone("the client has left")
        head = b"" if self.written else self._open_stream()
        data = head + self._piece(body)
        if data:
            await channel.write(data)
        await trio.lowlevel.checkpoint()  # a stream that never waits must not starve others

    def _open_stream(self) -> bytes:
        status, headers = self._start or (500, [])
        lines, self._remaining, close = self._writer.fields(headers)
        if self._remaining is not None:
            lines += b"\r\nContent-Length: %d" % self._remaining
        elif not self._request.http10 and not bodiless(status):
            self._chunked = True
            lines += b"\r\nTransfer-Encoding: chunked"
        else:
            self._request.keep_alive = bodiless(status) and self._request.keep_alive
        head = self._head(status, lines, close)
        if self._request.method == "HEAD" or bodiless(status):
            self._chunked = False
            self._remaining = 0
        self.written = True
        return head

    async def _end_stream(self, body: bytes) -> None:
        data = self._piece(body)
        if self._remaining:
            raise BadResponse("the response's body is shorter than its content-length")
        if self._chunked:
            data += b"0\r\n\r\n"
        if data:
            await self._channel.write(data)
        self._finish()

    def _piece(self, body: bytes) -> bytes:
        status, _ = self._start or (500, [])
        if not body or self._request.method == "HEAD" or bodiless(status):
            return b""
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(body), body)
        if self._remaining is not None:
            if len(body) > self._remaining:
                raise BadResponse("the response's body is longer than its content-length")
            self._remaining -= len(body)
        return body

    def _head(self, status: int, lines: bytes, close: bool) -> bytes:
        request = self._request
        # Unread body bytes would be taken for the next request, so such a connection ends.
        self.reusable = (
            request.keep_alive and request.complete and not close and not self._channel.draining
        )
        if not self.reusable:
            lines += b"\r\nConnection: close"
        elif request.http10:
            lines += b"\r\nConnection: keep-alive"
        return self._writer.opening(status) + lines + b"\r\n\r\n"

    def _finish(self) -> None:
        self.done = True
        if self._listening is not None:
            self._listening.cancel()
