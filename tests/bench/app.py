"""The daemon under measurement: one role with a handler that does nothing, in each kind."""

from __future__ import annotations

import os
import sys
from typing import Any

from hermesd.config import load
from hermesd.daemon import run
from hermesd.handlers import Handler, job


def handlers() -> list[Handler]:
    """No-op handlers, so that what is measured is the system around them."""
    return [noop, noop_thread, noop_process]


@job("noop")
async def noop(payload: dict[str, Any]) -> None:
    """Nothing, in the event loop."""


@job("noop.thread")
def noop_thread(payload: dict[str, Any]) -> None:
    """Nothing, in a thread."""


@job("noop.process", kind="process")
def noop_process(payload: dict[str, Any]) -> None:
    """Nothing, in a process."""


if __name__ == "__main__":
    sys.exit(run(load([], os.environ), sys.argv[1], extra=handlers()))
