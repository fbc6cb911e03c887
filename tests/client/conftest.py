"""An api that answers by script over real sockets, and every flavour of the client to ask it."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest

from hermesd.client import AsyncClient, Client

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Received:
    """One request as it came; header names in lower case."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    """Takes the next step of the script for each request."""

    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def answer(self) -> None:
        api = self.server.api
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qsl(url.query, keep_blank_values=True)
        api.requests.append(Received(self.command, url.path, query, headers, body))
        try:
            step = api.script.popleft()
        except IndexError:
            step = api.replying(500, b"nothing is scripted", {"content-type": "text/plain"})
        step(self)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  # http.server wants these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its signature
        pass


class ScriptedServer(ThreadingHTTPServer):
    """The server of one ScriptedApi."""

    daemon_threads = True
    api: ScriptedApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no matter here."""


class ScriptedApi:
    """Answers each request with the next step of its script, and remembers what came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Received] = []
        self.script: deque[Callable[[Handler], None]] = deque()
        self.released = threading.Event()

    def replying(
        self, status: int, body: bytes, headers: dict[str, str]
    ) -> Callable[[Handler], None]:
        def step(handler: Handler) -> None:
            handler.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        return step

    def text(self, status: int, body: bytes, **headers: str) -> None:
        """The next answer is this text."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script.append(self.replying(status, body, named))

    def json(self, value: Any, status: int = 200, **headers: str) -> None:
        """The next answer is this value."""
        body = json.dumps(value).encode()
        self.text(status, body, content_type="application/json", **headers)

    def problem(
        self, status: int, slug: str, detail: str = "", *, retry_after: str = "", **extra: Any
    ) -> None:
        """The next answer is this problem."""
        members = {"type": f"urn:hermesd:problem:{slug}", "title": slug.title(), "status": status}
        body = json.dumps({**members, "detail": detail, **extra}).encode()
        headers = {"retry_after": retry_after} if retry_after else {}
        self.text(status, body, content_type="application/problem+json", **headers)

    def cut(self, sending: bytes = b"") -> None:
        """The next request is read whole; then the connection breaks, after `sending`."""

        def step(handler: Handler) -> None:
            if sending:
                handler.wfile.write(sending)
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True

        self.script.append(step)

    def stream(self, *chunks: bytes, hold: bool = False) -> None:
        """The next answer is an event stream; `hold` keeps it open until `released` is set."""

        def step(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("content-type", "text/event-stream")
            handler.end_headers()
            for chunk in chunks:
                handler.wfile.write(chunk)
            if hold:
                self.released.wait(PATIENCE_SECONDS)
            handler.close_connection = True

        self.script.append(step)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """A scripted api; at the end its script must have been used up."""
    server = ScriptedServer(("127.0.0.1", 0), Handler)
    scripted = server.api = ScriptedApi(f"http://127.0.0.1:{server.server_port}")
    # poll_interval only bounds how long shutdown() takes.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield scripted
    finally:
        scripted.released.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_SECONDS)
    assert not scripted.script, "the script was not used up"


@pytest.fixture
def job() -> Callable[..., dict[str, Any]]:
    """Makes a job as the api shows it."""

    def make(job_id: str = "j1", **members: Any) -> dict[str, Any]:
        return {
            "id": job_id,
            "type": "email",
            "payload": {"to": "ada"},
            "queue": "default",
            "priority": 3,
            "state": "queued",
            "attempts": 0,
            "max_attempts": 3,
            "timeout": 300.0,
            "labels": {},
            "run": 1,
            "rung": None,
            "worker_id": None,
            "cancel_requested": False,
            "crash_count": 0,
            "created_at": "2026-11-21T21:48:54.123456Z",
            "updated_at": "2026-11-21T21:48:54.123456Z",
            "run_at": None,
            "started_at": None,
            "finished_at": None,
            "result": None,
            "error": None,
            **members,
        }

    return make


@pytest.fixture(params=["threads", "asyncio", "trio"])
def ask(request: pytest.FixtureRequest, api: ScriptedApi) -> Callable[..., Any]:
    """Calls a method of the client by name, in each flavour; iterators come back as lists."""
    flavour: str = request.param

    def in_threads(method: str, args: Any, kwargs: Any, options: Any) -> Any:
        with Client(api.url, **options) as client:
            answer = getattr(client, method)(*args, **kwargs)
            return list(answer) if isinstance(answer, Iterable) else answer

    async def in_tasks(method: str, args: Any, kwargs: Any, options: Any) -> Any:
        async with AsyncClient(api.url, **options) as client:
            answer = getattr(client, method)(*args, **kwargs)
            if hasattr(answer, "__aiter__"):
                return [item async for item in answer]
            return await answer

    def ask(method: str, *args: Any, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        settings = {"timeout_seconds": PATIENCE_SECONDS, "retries": 2, **(options or {})}
        if flavour == "threads":
            return in_threads(method, args, kwargs, settings)
        return anyio.run(in_tasks, method, args, kwargs, settings, backend=flavour)

    return ask


@pytest.fixture(params=["threads", "asyncio", "trio"])
def follow(request: pytest.FixtureRequest, api: ScriptedApi) -> Callable[..., list[Any]]:
    """Reads so many events of the stream, in each flavour, then leaves it."""
    flavour: str = request.param

    def in_threads(count: int, after: int | None, options: Any) -> list[Any]:
        with Client(api.url, **options) as client, client.stream_events(after=after) as events:
            return [next(events) for _ in range(count)]

    async def in_tasks(count: int, after: int | None, options: Any) -> list[Any]:
        async with (
            AsyncClient(api.url, **options) as client,
            client.stream_events(after=after) as events,
        ):
            return [await anext(events) for _ in range(count)]

    def follow(count: int, *, after: int | None = None, **options: Any) -> list[Any]:
        settings = {"timeout_seconds": PATIENCE_SECONDS, "retries": 2, **options}
        if flavour == "threads":
            return in_threads(count, after, settings)
        return anyio.run(in_tasks, count, after, settings, backend=flavour)

    return follow


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that refuses: bound by us, so that nobody else takes it, and not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
