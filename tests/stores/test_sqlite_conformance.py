"""The SQLite store passes the suites."""

from __future__ import annotations

from hermesd.testing.conformance import (
    FleetConformance,
    JobStoreConformance,
    OutboxConformance,
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
