"""The SQLite store passes the suites."""

from __future__ import annotations

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


class TestSqliteJobs(JobStoreConformance):
    """JobStore and JobReader."""


class TestSqliteOutbox(OutboxConformance):
    """Outbox."""


class TestSqliteFleet(FleetConformance):
    """Fleet."""


class TestSqliteTypes(TypeCatalogueConformance):
    """TypeCatalogue."""


class TestSqliteSchedules(SchedulesConformance):
    """Schedules."""


class TestSqliteNotes(NotesConformance):
    """Notes."""


class TestSqliteQueues(QueuesConformance):
    """Queues."""


class TestSqliteApis(ApisConformance):
    """Apis."""


class TestSqlitePoints(PointsConformance):
    """Points."""
