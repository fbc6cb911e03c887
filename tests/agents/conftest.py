"""What the tests of the agents share; the package is imported by its own name."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import trio.testing

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.world import Api, open_api
from hermesd.core.records import Submission, Submitted


@pytest.fixture
def clock() -> trio.testing.MockClock:
    """Jumps over idle waits, but not over a loopback connection on its way."""
    return trio.testing.MockClock(autojump_threshold=0.003)


@pytest.fixture
async def api(clock: trio.testing.MockClock) -> AsyncIterator[Api]:
    """An api whose agents are driven pass by pass."""
    async with open_api() as opened:
        yield opened


@pytest.fixture
def inserting(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[trio.lowlevel.Task]:
    """The tasks in which the store was called."""
    tasks: list[trio.lowlevel.Task] = []
    insert = api.jobs.insert

    async def noting(submission: Submission) -> Sequence[Submitted]:
        tasks.append(trio.lowlevel.current_task())
        return await insert(submission)

    monkeypatch.setattr(api.jobs, "insert", noting)
    return tasks
