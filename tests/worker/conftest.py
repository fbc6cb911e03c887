"""A bridge, and a namespace in the tests' RabbitMQ."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from brokers.rabbitmq import RabbitNode

sys.path.insert(0, str(Path(__file__).parent))

from pulling import World, open_world

from hermesd.bridge.loop import open_bridge


@pytest.fixture
async def world(rabbitmq: RabbitNode) -> AsyncIterator[World]:
    """Queues of the test's own, a store, and a desk to claim at."""
    async with open_bridge(), open_world(rabbitmq.url()) as opened:
        yield opened
