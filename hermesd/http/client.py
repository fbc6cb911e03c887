"""A lean HTTP/1.1 client: one keep-alive connection, one request at a time.

Its errors say what is known about delivery, since whoever calls must not do a thing twice.
"""

import errno
import os
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import trio
from httptools import HttpParserError, HttpParserUpgrade

from hermesd.http.answer import Answer
from hermesd.http.asgi import Headers
from hermesd.http.errors import ConnectFailed, ConnectRefused, Unanswered

_RECEIVE_BYTES = 65536
_MAX_HEAD_BYTES = 65536
_UNSENDABLE = re.compile(rb"[\r\n\0]")


class HttpResponse(NamedTuple):
    """A whole response; header names are in lower case."""

    status: int
    headers: Headers
    body: bytes


class Asked:
    """A request that was sent but for what is `unsent`.

    `broken` says that it did not go out. A peer may refuse a request before it has read all of it,
    so its answer counts all the same.
    """

    def __init__(self, stream: trio.abc.Stream, data: bytes, *, bodiless: bool) -> None:
        self.stream = stream
        self.unsent = memoryview(data)
        self.answer = Answer(bodiless=bodiless)
        self.received = 0
        self.broken = False


class HttpConnection:
    """A connection to one (host, port), with TLS if given a context; for one task at a time.

    It connects at the first request and again after it was closed. A request that fails or is
    cancelled closes it: a half-used connection is never used again.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ssl_context: ssl.SSLContext | None = None,
        max_response_bytes: int = 8 * 1024 * 1024,
    ) -> None:
        self._host = host
        self._port = port
        self._ssl_context = ssl_context
        self._max_response_bytes = max_response_bytes
        name = f"[{host}]" if ":" in host else host
        self._host_field = f"Host: {name}:{port}\r\n".encode("ascii")
        self._stream: trio.abc.Stream | None = None
        self._socket: trio.SocketStream | None = None

    async def request(
        self,
        method: str,
        target: str,
        body: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        timeout_seconds: float,
    ) -> HttpResponse:
        """Send one request and return the whole response.

        Raises ConnectRefused or ConnectFailed (nothing was sent), Unanswered (unknown whether
        it took effect), ValueError (a field or target that cannot be sent).
        """
        data = self._render(method, target, body, headers)
        sending = False
        clean = False
        try:
            with trio.move_on_after(timeout_seconds):
                stream = self._usable() or await self._connect()
                sending = True
                response = await self._hear(self._ask(stream, data, method))
                clean = True
                return response
        finally:
            if not clean:
                self.drop()
        late = f"no answer from {self._host}:{self._port} within {timeout_seconds} s"
        if sending:
            raise Unanswered(late)
        raise ConnectFailed(f"no connection, {late}")

    @property
    def ready(self) -> bool:
        """Whether a connection without TLS is open, as far as can be seen."""
        return self._ssl_context is None and self._usable() is not None

    def ask(
        self, method: str, target: str, body: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> Asked | None:
        """Send a request at once, which `hear` is to be called for; None where nothing was sent.

        That is so where no connection without TLS is open; ask `ready` first, which tells of one
        that the peer has closed. Raises ValueError as `request` does.
        """
        stream = self._stream
        if stream is None or self._ssl_context is not None:
            return None
        return self._ask(stream, self._render(method, target, body, headers), method)

    async def hear(self, asked: Asked, seconds: float) -> HttpResponse | None:
        """The whole response, or None where there is none yet: `hear` again, or `drop`.

        Raises Unanswered.
        """
        with trio.move_on_after(seconds):
            try:
                return await self._hear(asked)
            except Exception:
                self.drop()
                raise
        return None

    async def aclose(self) -> None:
        """Close the connection; a later request would open a new one."""
        self.drop()
        await trio.lowlevel.checkpoint()

    def _render(
        self, method: str, target: str, body: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> bytes:
        line = f"{method} {target}".encode("ascii")
        if line.count(b" ") != 1 or _UNSENDABLE.search(line):
            raise ValueError("the request target holds a space, CR, LF or NUL")
        parts = [line, b" HTTP/1.1\r\n", self._host_field]
        for name, value in headers:
            if _UNSENDABLE.search(name) or _UNSENDABLE.search(value):
                raise ValueError(f"the header field {name!r} holds CR, LF or NUL")
            parts += (name, b": ", value, b"\r\n")
        if body or method not in ("GET", "HEAD"):
            parts.append(b"Content-Length: %d\r\n" % len(body))
        parts += (b"\r\n", body)
        return b"".join(parts)

    def _usable(self) -> trio.abc.Stream | None:
        """The open connection, unless the peer has closed it or spoken out of turn."""
        if self._socket is None:
            return None
        descriptor = self._socket.socket.fileno()
        try:
            os.read(descriptor, 1)
        except BlockingIOError:
            return self._stream
        except OSError:
            pass
        self.drop()
        return None

    async def _connect(self) -> trio.abc.Stream:
        try:
            plain = await trio.open_tcp_stream(self._host, self._port)
        except OSError as error:
            place = f"{self._host}:{self._port}"
            if _refused(error):
                raise ConnectRefused(f"nothing listens at {place}") from error
            raise ConnectFailed(f"cannot connect to {place}: {error}") from error
        self._socket = plain
        self._stream = plain
        if self._ssl_context is not None:
            self._stream = await self._secure(plain, self._ssl_context)
        return self._stream

    async def _secure(self, plain: trio.SocketStream, context: ssl.SSLContext) -> trio.abc.Stream:
        secure = trio.SSLStream(plain, context, server_hostname=self._host, https_compatible=True)
        try:
            await secure.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError, ssl.CertificateError) as error:
            reason = error.__cause__ or error
            raise ConnectFailed(
                f"the TLS handshake with {self._host}:{self._port} failed: {reason}"
            ) from error
        return secure

    # On a plain connection both go to the descriptor first: trio's stream would run a scheduler
    # round after the write, and try to read what cannot be there yet.

    def _ask(self, stream: trio.abc.Stream, data: bytes, method: str) -> Asked:
        """Send what the socket takes at once."""
        asked = Asked(stream, data, bodiless=method == "HEAD")
        if stream is self._socket:
            try:
                sent = os.write(stream.socket.fileno(), data)
            except BlockingIOError:
                sent = 0
            except OSError:
                sent, asked.broken = len(data), True
            asked.unsent = asked.unsent[sent:]
        return asked

    async def _hear(self, asked: Asked) -> HttpResponse:
        """The rest of the request out and the response in; the connection may be used again."""
        await self._send_rest(asked)
        answer = asked.answer
        while not answer.complete:
            chunk = await self._receive(asked.stream)
            if not chunk and answer.end():
                break
            if not chunk:
                raise Unanswered(f"{self._host}:{self._port} closed the connection unanswered")
            asked.received += len(chunk)
            if asked.received > self._max_response_bytes + _MAX_HEAD_BYTES:
                raise Unanswered(f"the answer is longer than {self._max_response_bytes} bytes")
            self._parse(answer, chunk)
        if len(answer.body) > self._max_response_bytes:
            raise Unanswered(f"the answer is longer than {self._max_response_bytes} bytes")
        if asked.broken or not answer.reusable:
            self.drop()
        return HttpResponse(answer.status, answer.headers, bytes(answer.body))

    async def _send_rest(self, asked: Asked) -> None:
        """Whoever is cut off here, and hears again, goes on where this was."""
        plain = self._socket
        try:
            if plain is None or asked.stream is not plain:
                rest, asked.unsent = asked.unsent, memoryview(b"")
                if rest:
                    await asked.stream.send_all(rest)
                return
            while asked.unsent:
                await trio.lowlevel.wait_writable(plain.socket)
                with suppress(BlockingIOError):
                    sent = os.write(plain.socket.fileno(), asked.unsent)
                    asked.unsent = asked.unsent[sent:]
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            asked.unsent, asked.broken = memoryview(b""), True

    async def _receive(self, stream: trio.abc.Stream) -> bytes:
        try:
            if stream is self._socket:
                await trio.lowlevel.wait_readable(stream.socket)
                with suppress(BlockingIOError):
                    return os.read(stream.socket.fileno(), _RECEIVE_BYTES)
            return bytes(await stream.receive_some(_RECEIVE_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            place = f"{self._host}:{self._port}"
            raise Unanswered(f"the connection to {place} broke before an answer") from error

    def _parse(self, answer: Answer, chunk: bytes) -> None:
        try:
            answer.parser.feed_data(chunk)
        except (HttpParserError, HttpParserUpgrade) as error:
            if answer.complete:  # whatever follows, the answer is whole
                answer.reusable = False
                return
            place = f"{self._host}:{self._port}"
            raise Unanswered(f"the answer from {place} is not HTTP/1.1: {error}") from error

    def drop(self) -> None:
        """Close the connection; what was asked is not answered any more."""
        if self._socket is not None:
            self._socket.socket.close()
        self._socket = self._stream = None


def _refused(error: OSError) -> bool:
    causes = error.__cause__
    if isinstance(causes, BaseExceptionGroup):
        return all(
            isinstance(each, OSError) and each.errno == errno.ECONNREFUSED
            for each in causes.exceptions
        )
    return error.errno == errno.ECONNREFUSED
