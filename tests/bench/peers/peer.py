"""What the suite knows of a peer, and the little that the programs of all peers share.

Only the standard library: it is loaded by interpreters that have nothing else of ours. A program
is run as `worker`, `single JOBS SUBMITTERS` or `bulk JOBS`; BENCH_URL is its server or file,
BENCH_DONE the file to which every handler appends one byte when it has run.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

PAYLOAD: Final[dict[str, Any]] = {
    "to": "user@example.com",
    "subject": "Hello",
    "body": "hello " * 8,
}
BATCH: Final = 500


@dataclass(frozen=True)
class Peer:
    """One system. `durable` says what is safe when submit returns, `bulk` how it takes many.

    `server` is rabbitmq, postgresql, redis, or empty: a file. `worker` are the arguments after
    the interpreter that start its worker; empty: this program with `worker`.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    server: str
    durable: str
    bulk: str
    worker: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """The three things that a peer's file can do."""

    worker: Callable[[], None]
    single: Callable[[int, int], None]
    bulk: Callable[[int], None]


def url() -> str:
    """Where the server or the file is."""
    return os.environ["BENCH_URL"]


def marker() -> Callable[[], None]:
    """What a handler calls when it has run; opens its file at the first call, in any process."""
    opened: list[int] = []

    def mark() -> None:
        if not opened:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            opened.append(os.open(os.environ["BENCH_DONE"], flags))
        os.write(opened[0], b".")

    return mark


def in_threads(submit: Callable[[], object], jobs: int, submitters: int) -> None:
    """Submit so many jobs from so many threads, and print when that was."""
    numbers = count()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            while next(numbers) < jobs:
                submit()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(submitters)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    told(began)


async def in_tasks(submit: Callable[[], Awaitable[object]], jobs: int, submitters: int) -> None:
    """The same from asyncio tasks."""
    numbers = count()

    async def run() -> None:
        while next(numbers) < jobs:
            await submit()

    began = time.monotonic()
    await asyncio.gather(*(run() for _ in range(submitters)))
    told(began)


def sizes(jobs: int) -> list[int]:
    """How many are in each batch."""
    return [min(BATCH, jobs - first) for first in range(0, jobs, BATCH)]


def told(began: float) -> None:
    """Print when the submitting began and how long it took (the machine's monotonic clock)."""
    print(json.dumps({"began": began, "seconds": time.monotonic() - began}), flush=True)


def main(program: Program) -> None:
    """Do what the arguments say."""
    role, *numbers = sys.argv[1:]
    if role == "worker":
        program.worker()
    elif role == "single":
        program.single(int(numbers[0]), int(numbers[1]))
    else:
        program.bulk(int(numbers[0]))
