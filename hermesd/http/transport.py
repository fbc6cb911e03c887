"""The bytes of one accepted connection, plain or TLS, behind one small interface."""

import os
import select
import ssl
from collections.abc import Callable
from typing import Protocol

import trio

from hermesd.http.asgi import Address
from hermesd.http.errors import ClientGone
from hermesd.http.readiness import Readiness

RECEIVE_BYTES = 65536
# Clean TLS closing is a courtesy; it never holds up a shutdown for longer.
_CLOSE_SECONDS = 1.0


class Transport(Protocol):
    """Reads and writes of one connection; every broken connection is `ClientGone`."""

    scheme: str

    async def handshake(self) -> None:
        """Do what must come before the first byte."""

    async def receive(self) -> bytes:
        """Wait for bytes, at most RECEIVE_BYTES; b"" at the end of the stream."""

    def receive_now(self) -> bytes:
        """Bytes that are there already, b"" if none or unknown."""

    def put_back(self, data: bytes) -> None:
        """Let `receive` begin with what `receive_now` has answered."""

    def attended(self, attend: Callable[[], bool]) -> None:
        """Call `attend` with bytes to read, where that can be had; see Readable."""

    def write_now(self, data: bytes) -> int:
        """Write what fits without waiting and return how many bytes that were."""

    async def write(self, data: memoryview) -> None:
        """Write all of `data`, waiting for the client."""

    async def end_writing(self) -> None:
        """Tell the client that no more bytes come, where the transport can."""

    def client_left(self) -> bool:
        """Whether the client has closed its side."""

    async def close(self) -> None:
        """Release the socket; returns promptly, also when cancelled."""

    def addresses(self) -> tuple[Address | None, Address | None]:
        """The client's and the server's address."""


class PlainTransport:
    """A TCP or Unix socket.

    Reads and writes go to the descriptor itself: trio's stream tries each call first and then
    runs a whole scheduler round, which costs a third of the requests per second.
    """

    scheme = "http"

    def __init__(self, stream: trio.SocketStream, readiness: Readiness) -> None:
        self._stream = stream
        self._descriptor = stream.socket.fileno()
        self._readiness = readiness
        self._readable = readiness.register(self._descriptor)
        self._put_back = b""

    async def handshake(self) -> None:
        """Nothing to do."""

    async def receive(self) -> bytes:
        """See Transport."""
        readable = self._readable
        while True:
            await readable.wait()
            if self._put_back:
                return self._take_back()
            try:
                data = os.read(self._descriptor, RECEIVE_BYTES)
            except BlockingIOError:  # announced, but read already
                readable.took_nothing()
                continue
            except OSError as error:
                raise ClientGone("the client broke the connection") from error
            if len(data) < RECEIVE_BYTES:
                readable.took_all()
            return data

    def receive_now(self) -> bytes:
        """See Transport."""
        if self._put_back:
            return self._take_back()
        try:
            data = os.read(self._descriptor, RECEIVE_BYTES)
        except OSError:
            return b""
        if len(data) < RECEIVE_BYTES:
            self._readable.took_all()
        return data

    def put_back(self, data: bytes) -> None:
        """See Transport."""
        self._put_back = data
        self._readable.roused = bool(data)

    def _take_back(self) -> bytes:
        data, self._put_back = self._put_back, b""
        self._readable.roused = False
        return data

    def attended(self, attend: Callable[[], bool]) -> None:
        """See Transport."""
        self._readable.attend = attend

    def write_now(self, data: bytes) -> int:
        """See Transport."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise ClientGone("the client broke the connection") from error

    async def write(self, data: memoryview) -> None:
        """See Transport."""
        await _send(self._stream, data)

    async def end_writing(self) -> None:
        """See Transport."""
        try:
            await self._stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ClientGone("the client broke the connection") from error

    def client_left(self) -> bool:
        """See Transport."""
        return _hung_up(self._descriptor)

    async def close(self) -> None:
        """See Transport."""
        self._readiness.unregister(self._descriptor)
        self._readable.attend = None  # else only the garbage collector finds what it leads to
        self._descriptor = -1
        self._stream.socket.close()

    def addresses(self) -> tuple[Address | None, Address | None]:
        """See Transport."""
        return _addresses(self._stream)


class TlsTransport:
    """A TLS connection through trio's SSLStream."""

    scheme = "https"

    def __init__(self, stream: "trio.SSLStream[trio.SocketStream]") -> None:
        self._stream = stream

    async def handshake(self) -> None:
        """See Transport."""
        try:
            await self._stream.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
            raise ClientGone("the TLS handshake failed") from error

    async def receive(self) -> bytes:
        """See Transport."""
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
            raise ClientGone("the client broke the connection") from error

    def receive_now(self) -> bytes:
        """See Transport: decrypted bytes cannot be had without waiting."""
        return b""

    def put_back(self, data: bytes) -> None:
        """There is nothing to put back."""

    def attended(self, attend: Callable[[], bool]) -> None:
        """It is never called: what can be read of the socket says nothing of requests."""

    def write_now(self, data: bytes) -> int:
        """See Transport: encrypting may have to wait for the socket, so nothing is written."""
        del data
        return 0

    async def write(self, data: memoryview) -> None:
        """See Transport."""
        await _send(self._stream, data)

    async def end_writing(self) -> None:
        """TLS has no half-close that clients understand."""

    def client_left(self) -> bool:
        """See Transport."""
        return _hung_up(self._stream.transport_stream.socket.fileno())

    async def close(self) -> None:
        """See Transport."""
        with trio.move_on_after(_CLOSE_SECONDS):
            try:
                await self._stream.aclose()
            except (trio.BrokenResourceError, ssl.SSLError):
                pass
            finally:
                self._stream.transport_stream.socket.close()

    def addresses(self) -> tuple[Address | None, Address | None]:
        """See Transport."""
        return _addresses(self._stream.transport_stream)


def wrap(
    stream: "trio.SocketStream | trio.SSLStream[trio.SocketStream]", readiness: Readiness
) -> Transport:
    """The transport for what a listener accepted."""
    if isinstance(stream, trio.SocketStream):
        return PlainTransport(stream, readiness)
    return TlsTransport(stream)


async def _send(stream: trio.abc.SendStream, data: memoryview) -> None:
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
        raise ClientGone("the client broke the connection") from error


def _hung_up(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    return bool(poll.poll(0))


def _addresses(stream: trio.SocketStream) -> tuple[Address | None, Address | None]:
    try:
        client, server = stream.socket.getpeername(), stream.socket.getsockname()
    except OSError:  # the client has left already
        return None, None
    return _address(client), _address(server)


def _address(name: object) -> Address | None:
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return (name, None) if isinstance(name, str) and name else None
