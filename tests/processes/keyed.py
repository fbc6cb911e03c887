"""Submits with an idempotency key each, and whether what was said of them is what the store has."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import psycopg
import trio

from hermesd.http.client import HttpConnection
from processes.daemon import PATIENCE_SECONDS

CONNECTIONS = 8
PAUSE_SECONDS = 0.02  # after a refusal: sooner than its Retry-After, so that there are many
ABSENT = (429, 503)
UNKNOWN = 504
_HEADERS = ((b"Content-Type", b"application/json"),)


class Said(NamedTuple):
    """The answer to one submit: the job's id if it was taken, the seconds to come back after."""

    key: str
    status: int
    job_id: str | None
    retry_after: int | None
    problem: str

    @property
    def key_hash(self) -> str:
        """As the store has it."""
        return hashlib.sha256(self.key.encode()).hexdigest()


class KeyedStream:
    """Answers, oldest first, as they come; each key is submitted once."""

    def __init__(self, prefix: str) -> None:
        self.said: list[Said] = []
        self.stopped = False
        self._prefix = prefix
        self._number = 0
        self._more = trio.Event()

    @property
    def accepted(self) -> list[str]:
        """The ids that got a 2xx."""
        return [each.job_id for each in self.said if each.job_id is not None]

    @property
    def statuses(self) -> Counter[int]:
        """How many got which answer."""
        return Counter(each.status for each in self.said)

    async def more(self, count: int, *, taken: bool) -> None:
        """Return when so many more submits were taken, or refused."""
        seen = len(self.said)
        with trio.fail_after(PATIENCE_SECONDS):
            while sum((each.job_id is not None) is taken for each in self.said[seen:]) < count:
                await self._more.wait()

    def check(self, url: str) -> None:
        """See `check_said`."""
        check_said(self.said, url)

    async def send(self, port: int, job_type: str, payload: object) -> None:
        """Submit one after the other until told to stop."""
        connection = HttpConnection("127.0.0.1", port)
        try:
            while not self.stopped:
                said = await self._submit(connection, job_type, payload)
                self.said.append(said)
                self._more.set()
                self._more = trio.Event()
                if said.job_id is None:
                    await trio.sleep(PAUSE_SECONDS)
        finally:
            with trio.CancelScope(shield=True):
                await connection.aclose()

    async def _submit(self, connection: HttpConnection, job_type: str, payload: object) -> Said:
        self._number += 1
        key = f"{self._prefix}-{self._number}"
        body = msgspec.json.encode({"type": job_type, "payload": payload, "idempotency_key": key})
        answer = await connection.request("POST", "/jobs", body, _HEADERS, PATIENCE_SECONDS)
        told = msgspec.json.decode(answer.body)
        after = dict(answer.headers).get(b"retry-after")
        return Said(
            key=key,
            status=answer.status,
            job_id=told["job"]["id"] if answer.status in (200, 202) else None,
            retry_after=None if after is None else int(after),
            problem=told.get("type", ""),
        )


def jobs_of_keys(url: str) -> dict[str, str]:
    """The jobs that the PostgreSQL store at `url` has under a key, by its hash."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT key_hash, jobs.id FROM idempotency JOIN jobs ON jobs.id = job_id"
        )
        return dict(rows.fetchall())


def check_said(said: Sequence[Said], url: str) -> None:
    """Raise AssertionError where an answer is not what the store at `url` has.

    A 2xx names the job of its key; after 429 and 503 there is none; 504 `outcome-unknown` promises
    nothing; there is no other answer.
    """
    stored = jobs_of_keys(url)
    for each in said:
        if each.job_id is not None:
            assert stored.get(each.key_hash) == each.job_id, f"{each} is not in the store"
        elif each.status in ABSENT:
            assert each.key_hash not in stored, f"{each} is in the store"
            assert each.retry_after is not None, f"{each} does not tell when to come back"
            assert each.retry_after >= 1, each
        else:
            assert each.status == UNKNOWN, each
            assert each.problem.endswith("outcome-unknown"), each


@asynccontextmanager
async def keyed_submits(
    ports: list[int], payload: object, prefix: str = "key"
) -> AsyncIterator[KeyedStream]:
    """Jobs of type `note` to each of these apis over CONNECTIONS, until the context is left."""
    stream = KeyedStream(prefix)
    async with trio.open_nursery() as nursery:
        for port in ports * CONNECTIONS:
            nursery.start_soon(stream.send, port, "note", payload)
        yield stream
        stream.stopped = True
