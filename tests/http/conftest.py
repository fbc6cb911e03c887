"""A real server on loopback, and a client that speaks raw bytes."""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
import structlog
import trio
import trustme

from hermesd.http.asgi import App
from hermesd.http.limits import HttpLimits
from hermesd.http.prompt import Prompt, nobody
from hermesd.http.server import open_listeners, serve

PATIENCE_SECONDS = 60.0


class Reply(NamedTuple):
    """One response as it came off the wire; names of fields in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Peer:
    """A client that sends raw bytes and reads whole responses."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            await self.stream.send_all(data)

    async def _more(self) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            data = await self.stream.receive_some(65536)
        if not data:
            raise EOFError(self._buffer)
        self._buffer += data

    async def until(self, end: bytes) -> bytes:
        """Everything up to and including `end`."""
        while end not in self._buffer:
            await self._more()
        data, _, self._buffer = self._buffer.partition(end)
        return data + end

    async def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    async def rest(self) -> bytes:
        """Everything up to the end of the stream; a reset counts as its end."""
        try:
            while True:
                await self._more()
        except (EOFError, trio.BrokenResourceError):
            data, self._buffer = self._buffer, b""
            return data

    async def chunk(self) -> bytes:
        """One chunk of a chunked body; b"" for the last."""
        size = int(await self.until(b"\r\n"), 16)
        return (await self.exactly(size + 2))[:-2]

    async def reply(self, *, head_only: bool = False) -> Reply:
        """The next response with its body, framed by length or chunks."""
        lines = (await self.until(b"\r\n\r\n")).decode("ascii").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        body = b""
        if not head_only and headers.get("transfer-encoding") == "chunked":
            while piece := await self.chunk():
                body += piece
        elif not head_only:
            body = await self.exactly(int(headers.get("content-length", "0")))
        return Reply(int(lines[0].split(" ")[1]), headers, body)

    async def ask(self, data: bytes) -> Reply:
        await self.send(data)
        return await self.reply()


class Running:
    """A server under test: its port, its log, and the events of its end."""

    def __init__(
        self, port: int, client_context: ssl.SSLContext | None, limits: HttpLimits
    ) -> None:
        self.port = port
        self.limits = limits
        self.stopping = trio.Event()
        self.stopped = trio.Event()
        self.log = structlog.testing.LogCapture()
        self.scope = trio.CancelScope()
        self._context = client_context

    async def dial(self) -> Peer:
        plain = await trio.open_tcp_stream("127.0.0.1", self.port)
        if self._context is None:
            return Peer(plain)
        secure = trio.SSLStream(
            plain, self._context, server_hostname="localhost", https_compatible=True
        )
        return Peer(secure)

    async def ended(self) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            await self.stopped.wait()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def start(
    nursery: trio.Nursery, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> Callable[..., Awaitable[Running]]:
    """Start a server: `await start(app, limits, tls=, drain_seconds=, prompt=)`."""

    async def begin(
        app: App,
        limits: HttpLimits | None = None,
        *,
        tls: bool = False,
        drain_seconds: float = 10.0,
        prompt: Prompt = nobody,
    ) -> Running:
        listeners = await open_listeners(
            "127.0.0.1", 0, ssl_context=server_context if tls else None
        )
        plain: Any = listeners[0].transport_listener if tls else listeners[0]
        port = plain.socket.getsockname()[1]
        running = Running(port, client_context if tls else None, limits or HttpLimits())
        log = structlog.wrap_logger(None, processors=[running.log])

        async def run(task_status: trio.TaskStatus[None]) -> None:
            with running.scope:
                await serve(
                    app,
                    listeners,
                    lambda: running.limits,
                    stopping=running.stopping,
                    drain_seconds=lambda: drain_seconds,
                    log=log,
                    prompt=prompt,
                    task_status=task_status,
                )
            running.stopped.set()

        await nursery.start(run)
        return running

    return begin
