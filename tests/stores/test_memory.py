"""The store in memory passes the suites."""

from __future__ import annotations

import pytest

from hermesd.testing.clock import ManualClock
from hermesd.testing.conformance import (
    ApisConformance,
    FleetConformance,
    JobStoreConformance,
    NotesConformance,
    OutboxConformance,
    PointsConformance,
    QueuesConformance,
    SchedulesConformance,
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


class TestMemorySchedules(SchedulesConformance):
    """Schedules."""


class TestMemoryNotes(NotesConformance):
    """Notes."""


class TestMemoryQueues(QueuesConformance):
    """Queues."""


class TestMemoryApis(ApisConformance):
    """Apis."""


class TestMemoryPoints(PointsConformance):
    """Points."""
