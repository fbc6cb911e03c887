"""What the tests of the agents share; the package is imported by its own name."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio.testing

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.world import Api, open_api


@pytest.fixture
def clock() -> trio.testing.MockClock:
    """Jumps over idle waits, but not over a loopback connection on its way."""
    return trio.testing.MockClock(autojump_threshold=0.003)


@pytest.fixture
async def api(clock: trio.testing.MockClock) -> AsyncIterator[Api]:
    """An api whose agents are driven pass by pass."""
    async with open_api() as opened:
        yield opened
