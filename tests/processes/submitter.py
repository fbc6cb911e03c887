"""Many submits at once over keep-alive connections, and what was said of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import trio

from hermesd.http.client import HttpConnection
from hermesd.http.errors import ConnectFailed, ConnectRefused, Unanswered
from processes.daemon import PATIENCE_SECONDS

RETRY_SECONDS = 0.05
_HEADERS = ((b"Content-Type", b"application/json"),)


class _Job(msgspec.Struct):
    id: str


class _Accepted(msgspec.Struct):
    job: _Job


@dataclass
class Answers:
    """The ids that got a 2xx, how many submits were left unanswered, and refusals by status."""

    accepted: list[str] = field(default_factory=list)
    unanswered: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    progress: trio.Event = field(default_factory=trio.Event)

    @property
    def total(self) -> int:
        """Submits that are over, one way or another."""
        return len(self.accepted) + self.unanswered + self.refused.total()

    async def reached(self, total: int) -> None:
        """Return when so many submits are over."""
        while self.total < total:
            await self.progress.wait()

    def tell(self) -> None:
        """One more is over."""
        self.progress.set()
        self.progress = trio.Event()


def bodies(job_type: str, payloads: Sequence[object]) -> list[bytes]:
    """A submit for each payload."""
    return [msgspec.json.encode({"type": job_type, "payload": each}) for each in payloads]


async def submit_all(
    port: int, submits: Sequence[bytes], *, connections: int, answers: Answers | None = None
) -> Answers:
    """Send each submit once; where no connection could be had it is surely not sent, and again.

    `answers`, if given, can be watched meanwhile.
    """
    answers = Answers() if answers is None else answers
    left = iter(submits)
    with trio.fail_after(PATIENCE_SECONDS * 2):
        async with trio.open_nursery() as nursery:
            for _ in range(connections):
                nursery.start_soon(_submit_each, port, left, answers)
    return answers


async def _submit_each(port: int, left: Iterator[bytes], answers: Answers) -> None:
    connection = HttpConnection("127.0.0.1", port)
    decoder = msgspec.json.Decoder(_Accepted)
    try:
        for body in left:
            await _submit(connection, body, decoder, answers)
            answers.tell()
    finally:
        with trio.CancelScope(shield=True):
            await connection.aclose()


async def _submit(
    connection: HttpConnection,
    body: bytes,
    decoder: msgspec.json.Decoder[_Accepted],
    answers: Answers,
) -> None:
    while True:
        try:
            answer = await connection.request("POST", "/jobs", body, _HEADERS, PATIENCE_SECONDS)
        except (ConnectRefused, ConnectFailed):
            await trio.sleep(RETRY_SECONDS)
            continue
        except Unanswered:
            answers.unanswered += 1
            return
        if answer.status in (200, 202):
            answers.accepted.append(decoder.decode(answer.body).job.id)
        else:
            answers.refused[answer.status] += 1
        return
