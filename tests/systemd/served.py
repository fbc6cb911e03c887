"""The servers that jobs turn to, in the network of a machine; run by `peers`.

Each request and each mail is a line of JSON on stdout as it arrives: `{"call", "headers"}` and
`{"mail": {"user", "from", "to", "text"}}`. A call to /held/NAME is answered when `NAME` comes on
stdin, one to /slow/SECONDS after that time, any other one at once.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

HTTP_PORT: Final = 9100
SMTP_PORT: Final = 9025

_released: dict[str, threading.Event] = defaultdict(threading.Event)
_lock = threading.Lock()


def tell(line: dict[str, Any]) -> None:
    """Whole lines only, whoever else tells."""
    with _lock:
        print(json.dumps(line), flush=True)  # noqa: T201 - what this program is for


class Calls(BaseHTTPRequestHandler):
    """Answers calls."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Any body, whose echo is the answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        tell({"call": self.path, "headers": dict(self.headers.items())})
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "held":
            _released[name].wait()
        if kind == "slow":
            threading.Event().wait(float(name))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: it is told already."""


def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    """Anybody's, remembered."""
    return AuthResult(success=True, auth_data=data.login + b":" + data.password)


class Inbox:
    """Takes every mail."""

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name for it
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        """Tell it."""
        text = envelope.content.decode()
        user = session.auth_data.decode() if session.authenticated else ""
        sent = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": text}
        tell({"mail": {"user": user, **sent}})
        return "250 OK"


def main() -> None:
    """Serve until stdin ends."""
    mails = Controller(
        Inbox(),
        hostname="127.0.0.1",
        port=SMTP_PORT,
        authenticator=login,
        auth_require_tls=False,
    )
    mails.start()
    calls = ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Calls)
    calls.daemon_threads = True
    threading.Thread(target=calls.serve_forever, daemon=True).start()
    tell({"ready": True})
    for line in sys.stdin:
        _released[line.strip()].set()


if __name__ == "__main__":
    main()
