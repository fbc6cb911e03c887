"""What all tests share: one broker a session. Its package is imported by its own name."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from brokers.rabbitmq import rabbitmq

__all__ = ["rabbitmq"]


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C mean something to the processes that tests start.

    A shell starts what it runs in the background with SIGINT ignored, and that is inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
