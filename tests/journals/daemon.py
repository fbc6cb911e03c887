"""A daemon whose journal is at a socket of a test: `python daemon.py ROLE SOCKET`.

Handlers mark what must not be logged: see MARKS.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from hermesd.config import load
from hermesd.core.backoff import Backoff, BackoffKind
from hermesd.daemon import life
from hermesd.handlers import JobContext, Permanent, job
from hermesd.observe.logs import configure_logging

SOON = Backoff(kind=BackoffKind.FIXED, seconds=0.05, jitter=0.0)


@job("well")
async def well(payload: dict[str, str]) -> str:
    """Succeeds, with a marked result."""
    return "RESULT-" + "MARK"


@job("well.process", kind="process")
def well_in_process(payload: dict[str, str]) -> str:
    """The same in a child process."""
    return "RESULT-" + "MARK"


@job("flaky", backoff=SOON, max_attempts=3)
async def flaky(payload: dict[str, str], ctx: JobContext) -> str:
    """Fails the first time, with its payload in the error."""
    if ctx.attempt == 1:
        raise ValueError(f"ERROR-MARK {payload}")
    return "RESULT-" + "MARK"


@job("doomed")
def doomed(payload: dict[str, str]) -> None:
    """Fails for good, in a thread."""
    raise Permanent(f"ERROR-MARK {payload}")


@job("bulky")
async def bulky(payload: dict[str, str]) -> str:
    """A result that is too large."""
    return "RESULT-MARK" * 1000


if __name__ == "__main__":
    role, journal_socket = sys.argv[1:]
    vars(life)["configure_logging"] = partial(configure_logging, journal_socket=journal_socket)
    config = load([], os.environ, default_path=Path("/nonexistent"))
    sys.exit(life.run(config, role, extra=[well, well_in_process, flaky, doomed, bulky]))
