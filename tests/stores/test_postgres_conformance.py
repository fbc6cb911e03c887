"""The PostgreSQL store passes the suites."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from databases.stores import opened

from hermesd.stores.postgres import PostgresStore
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


@pytest.fixture
async def store(postgresql_url: str, clock: ManualClock) -> AsyncIterator[PostgresStore]:
    """An open store whose clock is the test's."""
    async with opened(postgresql_url, clock=clock, utc=clock.utc) as store:
        yield store


class TestPostgresJobs(JobStoreConformance):
    """JobStore and JobReader."""


class TestPostgresOutbox(OutboxConformance):
    """Outbox."""


class TestPostgresFleet(FleetConformance):
    """Fleet."""


class TestPostgresTypes(TypeCatalogueConformance):
    """TypeCatalogue."""


class TestPostgresSchedules(SchedulesConformance):
    """Schedules."""


class TestPostgresNotes(NotesConformance):
    """Notes."""


class TestPostgresQueues(QueuesConformance):
    """Queues."""


class TestPostgresApis(ApisConformance):
    """Apis."""


class TestPostgresPoints(PointsConformance):
    """Points."""
