"""The store in memory passes the suites."""

from __future__ import annotations

import pytest

from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import (
    FleetConformance,
    JobStoreConformance,
    OutboxConformance,
    TypeCatalogueConformance,
)
from hermesd.testing.memory import MemoryStore


@pytest.fixture
async def store(clock: ManualClock) -> MemoryStore:
    """A store in memory."""
    return MemoryStore(clock)


class TestMemoryJobs(JobStoreConformance):
    """JobStore and JobReader."""


class TestMemoryOutbox(OutboxConformance):
    """Outbox."""


class TestMemoryFleet(FleetConformance):
    """Fleet."""


class TestMemoryTypes(TypeCatalogueConformance):
    """TypeCatalogue."""
