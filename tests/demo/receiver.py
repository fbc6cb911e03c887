"""A webhook receiver on loopback that is overloaded at first: 503, in a second again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

RETRY_AFTER_SECONDS: Final = 1
_STOP_SECONDS: Final = 10.0


@dataclass
class Receiver:
    """`calls` has a status and a body for each call so far; the first is answered with 503."""

    url: str = ""
    calls: list[tuple[int, bytes]] = field(default_factory=list)

    def take(self, body: bytes) -> int:
        """The status to answer with."""
        status = 200 if self.calls else 503
        self.calls.append((status, body))
        return status


@contextmanager
def open_receiver() -> Iterator[Receiver]:
    """A running receiver."""
    receiver = Receiver()

    class Call(BaseHTTPRequestHandler):
        timeout = 10.0

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            status = receiver.take(self.rfile.read(length))
            answer = b'{"received": true}' if status == 200 else b'{"received": false}'
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            if status == 503:
                self.send_header("retry-after", str(RETRY_AFTER_SECONDS))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """The demo tells what came itself."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Call) as server:
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            serving.join(_STOP_SECONDS)
