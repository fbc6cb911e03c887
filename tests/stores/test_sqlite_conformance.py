"""The SQLite store passes the suites."""

from __future__ import annotations

from hermesd.testing.conformance import (
    ApisConformance,
    FleetConformance,
    JobStoreConformance,
    NotesConformance,
    OutboxConformance,
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


class TestSqliteApis(ApisConformance):
    """Apis."""
