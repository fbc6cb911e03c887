"""A real HTTP server on a real socket that answers what it is told to and keeps what it is sent."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import trio

from hermesd.handlers import JobContext

MAX_REQUEST_BYTES = 1 << 20


@dataclass
class Received:
    """One request as it came: its line, its headers (names in lower case) and its body."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers the n-th request with the n-th of `answers`, the last one again and again."""

    answers: list[bytes] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    then_hang: bool = False
    port: int = 0
    hung: trio.Event = field(default_factory=trio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, stream: trio.abc.Stream) -> None:
        try:
            async with stream:
                self.received.append(await _read_request(stream))
                number = min(len(self.received), len(self.answers)) - 1
                await stream.send_all(self.answers[number])
                if self.then_hang:
                    self.hung.set()
                    await trio.sleep_forever()
        except trio.BrokenResourceError:
            pass  # the client has read enough


async def _read_request(stream: trio.abc.Stream) -> Received:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await _some(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    while len(body) < int(headers.get("content-length", 0)):
        body += await _some(stream)
    return Received(line, headers, body)


async def _some(stream: trio.abc.Stream) -> bytes:
    chunk = bytes(await stream.receive_some(MAX_REQUEST_BYTES))
    if not chunk:
        raise trio.BrokenResourceError("closed by the client")
    return chunk


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP/1.1 answer; `retry_after="1"` makes the header Retry-After."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def make_answer() -> Callable[..., bytes]:
    return answer


@pytest.fixture
async def server(nursery: trio.Nursery) -> Server:
    served = Server(answers=[answer(200)])
    listeners = await nursery.start(partial(trio.serve_tcp, served.serve, 0, host="127.0.0.1"))
    served.port = listeners[0].socket.getsockname()[1]
    return served


@pytest.fixture
def tls_server(nursery: trio.Nursery) -> Callable[[ssl.SSLContext], Any]:
    async def start(context: ssl.SSLContext) -> Server:
        served = Server(answers=[answer(200)])
        listeners = await nursery.start(
            partial(trio.serve_ssl_over_tcp, served.serve, 0, context, host="127.0.0.1")
        )
        served.port = listeners[0].transport_listener.socket.getsockname()[1]
        return served

    return start


class Names(trio.abc.HostnameResolver):
    """A resolver whose answers are given: each lookup of a name takes the next one, then the last.

    trio's own hook for it, so the code under test resolves as it always does.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        family: int = 0,
        type: int = 0,  # noqa: A002 - trio's name for it
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        lookups = self.answers.get(name)
        if not lookups:
            raise OSError(f"no such name: {name}")
        addresses = lookups.pop(0) if len(lookups) > 1 else lookups[0]
        inet6 = trio.socket.AF_INET6
        return [
            (inet6 if ":" in each else trio.socket.AF_INET, type, 6, "", (each, port or 0))
            for each in addresses
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise OSError("not asked for")


@pytest.fixture
async def names() -> Names:
    resolver = Names()
    trio.socket.set_custom_hostname_resolver(resolver)
    return resolver


@pytest.fixture
def context() -> Callable[..., JobContext]:
    """A job's context with these settings, by default with private addresses allowed."""

    def make(attempt: int = 1, timeout: float = 60.0, **settings: object) -> JobContext:
        table = settings or {"allow_private_addresses": True}
        return JobContext(
            job_id="job-1",
            type="http",
            attempt=attempt,
            max_attempts=3,
            timeout_seconds=timeout,
            settings=table,
        )

    return make
