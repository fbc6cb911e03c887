"""What all tests share: one broker and one database server a session, and how properties are tried.

Their packages are imported by their own names.
"""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

from brokers.rabbitmq import rabbitmq
from databases.postgresql import postgresql, postgresql_template, postgresql_url
from processes.run import one_run

__all__ = ["postgresql", "postgresql_template", "postgresql_url", "rabbitmq"]


# The same examples each time, and as long as a busy machine takes for them.
settings.register_profile(
    "hermesd",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("hermesd")


def pytest_configure(config: pytest.Config) -> None:
    """Let nothing outlive the tests, and Ctrl-C mean something to the processes that they start.

    A shell starts what it runs in the background with SIGINT ignored, and that is inherited.
    """
    run = ExitStack()
    run.enter_context(one_run())
    config.add_cleanup(run.close)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
