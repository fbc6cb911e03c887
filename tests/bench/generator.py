"""A load generator that costs little: raw sockets, one request under way per connection.

It runs as a process of its own (`python generator.py PORT CONNECTIONS REQUESTS`) and prints one
JSON line: what was answered, how long it took, and the latencies in milliseconds.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

BODY = json.dumps(
    {
        "type": "noop",
        "payload": {"to": "user@example.com", "subject": "Hello", "body": "hello " * 6},
    }
).encode()
STALL_SECONDS = 60.0


@dataclass
class Result:
    """Answers by status, seconds in all, and sorted latencies in milliseconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """The latency that `share` of the requests stayed within."""
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


class Connection:
    """One keep-alive connection: sends, and says when a whole answer has come."""

    def __init__(self, port: int, request: bytes):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._buffer = b""
        self.sent_at = 0.0

    def send(self) -> None:
        """Send the request; it is small enough for the socket's buffer."""
        self.sent_at = time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> int:
        """The status of the answer, 0 while it is not whole."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return 0
        place = self._buffer.lower().find(b"content-length:", 0, head)
        length = int(self._buffer[place + 15 : self._buffer.index(b"\r\n", place)])
        if len(self._buffer) < head + 4 + length:
            return 0
        status = int(self._buffer[9:12])
        self._buffer = b""
        return status


def request_of(path: str, body: bytes) -> bytes:
    """A POST of JSON as it goes over the wire."""
    return (
        b"POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % (path.encode(), len(body))
    ) + body


def drive(port: int, connections: int, requests: int, request: bytes) -> Result:
    """Send `requests` requests over so many connections, each as soon as the last was answered."""
    result = Result()
    selector = selectors.DefaultSelector()
    started = time.perf_counter()
    left = requests
    for _ in range(min(connections, requests)):
        connection = Connection(port, request)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
        left -= 1
    answered = 0
    while answered < requests:
        ready = selector.select(STALL_SECONDS)
        if not ready:
            raise TimeoutError("no answer for a minute")
        for key, _ in ready:
            connection = key.data
            status = connection.receive()
            if not status:
                continue
            answered += 1
            result.statuses[status] += 1
            result.latencies.append((time.perf_counter() - connection.sent_at) * 1e3)
            if left:
                left -= 1
                connection.send()
    result.seconds = time.perf_counter() - started
    result.latencies.sort()
    return result


def main(arguments: list[str]) -> int:
    """See the module."""
    port, connections, requests = map(int, arguments)
    result = drive(port, connections, requests, request_of("/jobs", BODY))
    line = {
        "statuses": {str(status): count for status, count in result.statuses.items()},
        "seconds": result.seconds,
        "p50_ms": result.percentile(0.5),
        "p99_ms": result.percentile(0.99),
    }
    print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
