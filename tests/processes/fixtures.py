"""The fixtures that the conftests of process and fault tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processes.deployment import Deployment, open_deployment


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment with an empty store and nothing started."""
    async with open_deployment(tmp_path) as opened:
        yield opened
