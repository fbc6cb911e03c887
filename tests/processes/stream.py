"""Submits at a steady rate while something else happens, with what was answered and how late."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle

import msgspec
import trio

from hermesd.http.client import HttpConnection
from processes.daemon import PATIENCE_SECONDS

CONNECTIONS = 8
_HEADERS = ((b"Content-Type", b"application/json"),)


class _Job(msgspec.Struct):
    id: str


class _Accepted(msgspec.Struct):
    job: _Job


@dataclass
class Stream:
    """`latencies` are seconds from when a submit was due to its answer."""

    accepted: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    stopped: bool = False

    def check(self) -> None:
        """Every submit got a 2xx, and 99 of 100 did within a second."""
        assert not self.refused, self.refused
        ordered = sorted(self.latencies)
        assert ordered, "nothing was submitted"
        p99 = ordered[int(len(ordered) * 0.99)]
        assert p99 < 1.0, f"p99 of {len(ordered)} submits: {p99:.3f} s, most {ordered[-1]:.3f} s"


@asynccontextmanager
async def submitting(port: int, submits: list[bytes], *, rate: float) -> AsyncIterator[Stream]:
    """Send these bodies again and again, `rate` a second, until the context is left."""
    stream, bodies = Stream(), cycle(submits)
    due = _due(trio.current_time(), 1 / rate)
    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(_send, port, bodies, due, stream)
        yield stream
        stream.stopped = True


def _due(begun: float, interval: float) -> Iterator[float]:
    while True:
        yield begun
        begun += interval


async def _send(port: int, bodies: Iterator[bytes], due: Iterator[float], stream: Stream) -> None:
    connection = HttpConnection("127.0.0.1", port)
    decoder = msgspec.json.Decoder(_Accepted)
    try:
        while not stream.stopped:
            at, body = next(due), next(bodies)
            await trio.sleep_until(at)
            answer = await connection.request("POST", "/jobs", body, _HEADERS, PATIENCE_SECONDS)
            stream.latencies.append(trio.current_time() - at)
            if answer.status in (200, 202):
                stream.accepted.append(decoder.decode(answer.body).job.id)
            else:
                stream.refused[answer.status] += 1
    finally:
        with trio.CancelScope(shield=True):
            await connection.aclose()
