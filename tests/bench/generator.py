"""A load generator that costs little: raw sockets, one request under way per connection.

It runs as a process of its own (see `arguments`) and prints one JSON line: the answers by status,
the machine's monotonic time at the first request, the seconds in all, latencies in milliseconds.
Under a rate a request is due when the rate says so, and its latency counts from then, however late
a connection was free for it.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

STALL_SECONDS = 60.0
PRIORITIES = 11  # from 0 to 10
TEXT = "Hello, and here is what this message is about. "


def arguments() -> argparse.ArgumentParser:
    """What it can be told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--batch", type=int, default=0, help="jobs a request (0: POST /jobs)")
    parser.add_argument("--rate", type=float, default=0.0, help="requests/s (0: no limit)")
    parser.add_argument("--payload-bytes", type=int, default=100)
    parser.add_argument("--type", default="noop")
    parser.add_argument(
        "--mixed", action="store_true", help="the jobs of a batch differ in priority"
    )
    return parser


@dataclass
class Result:
    """Answers by status, when it began and how long it took, and latencies in milliseconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    began: float = 0.0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def told(self) -> dict[str, object]:
        """As it is printed."""
        self.latencies.sort()
        return {
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "began": self.began,
            "seconds": self.seconds,
            "p50_ms": self.percentile(0.5),
            "p99_ms": self.percentile(0.99),
            "max_ms": self.latencies[-1],
        }

    def percentile(self, share: float) -> float:
        """The latency that `share` of the requests stayed within."""
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


class Connection:
    """One keep-alive connection: sends, and says when a whole answer has come."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.due = 0.0

    def send(self, request: bytes, due: float) -> None:
        """Send the whole request."""
        self.due = due
        self.socket.sendall(request)

    def receive(self) -> int:
        """The status of the answer, 0 while it is not whole."""
        data = self.socket.recv(262_144)
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


def requests_of(
    job_type: str, payload_bytes: int, batch: int, *, mixed: bool = False
) -> Callable[[], bytes]:
    """What makes the next request as it is sent; `stamp` jobs say when that was."""
    path = b"/jobs/batch" if batch else b"/jobs"
    marker = "123456789"
    payload: dict[str, object] = {"to": "user@example.com", "body": ""}
    if job_type == "stamp":
        payload["sent_ns"] = int(marker)
    room = payload_bytes - len(json.dumps(payload))
    payload["body"] = (TEXT * (max(room, 0) // len(TEXT) + 1))[: max(room, 0)]
    item: dict[str, object] = {"type": job_type, "payload": payload}
    items = [item | {"priority": n % PRIORITIES} if mixed else item for n in range(batch)]
    body = json.dumps({"jobs": items} if batch else item).encode()
    if job_type != "stamp":
        whole = _request(path, body)
        return lambda: whole
    pieces = body.split(marker.encode())
    return lambda: _request(path, (b"%d" % time.monotonic_ns()).join(pieces))


def _request(path: bytes, body: bytes) -> bytes:
    return (
        b"POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (path, len(body), body)
    )


class Drive:
    """Sends so many requests over so many connections."""

    def __init__(self, port: int, connections: int, requests: int, make: Callable[[], bytes]):
        self._port = port
        self._make = make
        self._requests = requests
        self._connections = min(connections, requests)
        self._result = Result()
        # select(2) waits by the microsecond, epoll_wait(2) by the millisecond.
        self._selector = selectors.SelectSelector()

    def run(self, seconds_per_request: float = 0.0) -> Result:
        """Each as soon as a connection is free, or is due if that is later."""
        # In turns, so that under a low rate none is idle until the server closes it.
        idle = deque(Connection(self._port) for _ in range(self._connections))
        for connection in idle:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        sent = answered = 0
        started = now = self._result.began = time.monotonic()
        while answered < self._requests:
            while idle and sent < self._requests:
                due = started + sent * seconds_per_request if seconds_per_request else now
                if due > now:
                    break
                idle.popleft().send(self._make(), due)
                sent += 1
            wait_seconds = STALL_SECONDS
            if idle and sent < self._requests:
                wait_seconds = max(started + sent * seconds_per_request - now, 0.0)
            answered += self._collect(idle, wait_seconds)
            now = time.monotonic()
        self._result.seconds = now - started
        return self._result

    def _collect(self, idle: deque[Connection], wait_seconds: float) -> int:
        """Take in what was answered; those connections are idle again."""
        ready = self._selector.select(wait_seconds)
        if not ready and wait_seconds >= STALL_SECONDS:
            raise TimeoutError("no answer for a minute")
        before = len(idle)
        for key, _ in ready:
            connection: Connection = key.data
            if status := connection.receive():
                took = time.monotonic() - connection.due
                self._result.latencies.append(took * 1e3)
                self._result.statuses[status] += 1
                idle.append(connection)
        return len(idle) - before


def main(given: list[str]) -> int:
    """See the module."""
    told = arguments().parse_args(given)
    make = requests_of(told.type, told.payload_bytes, told.batch, mixed=told.mixed)
    drive = Drive(told.port, told.connections, told.requests, make)
    result = drive.run(1 / told.rate if told.rate else 0.0)
    print(json.dumps(result.told()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
