"""The fixtures that the conftests of process and fault tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from brokers.rabbitmq import RabbitNode

from processes.broker import Broker, open_broker
from processes.deployment import Deployment, open_deployment


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment with an empty store and nothing started."""
    async with open_deployment(tmp_path) as opened:
        yield opened


@pytest.fixture
async def broker(rabbitmq: RabbitNode) -> AsyncIterator[Broker]:
    """A part of the session's RabbitMQ that nobody else uses; a test may do anything to it."""
    async with open_broker(rabbitmq) as opened:
        yield opened


@pytest.fixture
async def ladder(broker: Broker, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment with all rungs of the ladder: its daemons use `broker`, nothing is started."""
    async with open_deployment(tmp_path) as opened:
        opened.settings = broker.settings()
        yield opened
