"""The daemon under measurement: one role, with handlers that do nothing.

    python -m tests.bench.app api|worker|both

`stamp` is the exception: it appends, to the file that BENCH_DELAYS names, how many nanoseconds
before its start `sent_ns` of its payload (this machine's monotonic clock) was.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from hermesd.config import load
from hermesd.daemon import run
from hermesd.handlers import Handler, job

DELAYS = "BENCH_DELAYS"


def handlers(delays: str | None) -> list[Handler]:
    """No-op handlers, so that what is measured is the system around them."""
    if delays is None:
        return [noop, noop_thread, noop_process]
    return [noop, noop_thread, noop_process, stamping(delays)]


@job("noop")
async def noop(payload: dict[str, Any]) -> None:
    """Nothing, in the event loop."""


@job("noop.thread")
def noop_thread(payload: dict[str, Any]) -> None:
    """Nothing, in a thread."""


@job("noop.process", kind="process")
def noop_process(payload: dict[str, Any]) -> None:
    """Nothing, in a process."""


def stamping(delays: str) -> Handler:
    """The handler that tells when it was started; the file stays open while the process lives."""
    file = os.open(delays, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @job("stamp")
    async def stamp(payload: dict[str, Any]) -> None:
        """One line, first thing."""
        os.write(file, b"%d\n" % (time.monotonic_ns() - payload["sent_ns"]))

    return stamp


if __name__ == "__main__":
    found = handlers(os.environ.get(DELAYS))
    sys.exit(run(load([], os.environ), sys.argv[1], extra=found))
