"""Real images, and a real HTTP server that serves them."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hermesd.handlers import JobContext


@pytest.fixture
def make_image() -> Callable[..., bytes]:
    """Encoded images, red on the left half and blue on the right; `save` goes to Pillow's save."""

    def make(
        size: tuple[int, int] = (400, 200), form: str = "PNG", mode: str = "RGB", **save: Any
    ) -> bytes:
        image = Image.new("RGB", size, "blue")
        image.paste("red", (0, 0, size[0] // 2, size[1]))
        buffer = io.BytesIO()
        image.convert(mode).save(buffer, form, **save)
        return buffer.getvalue()

    return make


@dataclass
class Answer:
    """What a path is answered with."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A running server: answers by path, and the paths that were asked for."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def serve(
        self,
        path: str,
        body: bytes = b"",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.answers[path] = Answer(body, status, headers or {})

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            answer = served.answers.get(self.path, Answer(status=404))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_args: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The one folder that jobs may use."""
    path = tmp_path / "allowed"
    path.mkdir()
    return path


@pytest.fixture
def context(root: Path) -> Callable[..., JobContext]:
    """A job's context with `root` allowed, and these settings."""

    def make(**settings: object) -> JobContext:
        table = {"allowed_roots": [str(root)]} | settings
        return JobContext(job_id="job-1", type="resize-image", settings=table)

    return make
