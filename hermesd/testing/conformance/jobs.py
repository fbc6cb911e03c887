"""The suite for JobStore and JobReader together: neither can be looked at without the other."""

from __future__ import annotations

from hermesd.testing.conformance.assigning import AssigningConformance
from hermesd.testing.conformance.operating import OperatingConformance
from hermesd.testing.conformance.reading import ReadingConformance
from hermesd.testing.conformance.retaining import RetainingConformance
from hermesd.testing.conformance.settling import SettlingConformance
from hermesd.testing.conformance.submitting import SubmittingConformance
from hermesd.testing.conformance.waiting import WaitingConformance


class JobStoreConformance(
    SubmittingConformance,
    AssigningConformance,
    SettlingConformance,
    WaitingConformance,
    OperatingConformance,
    ReadingConformance,
    RetainingConformance,
):
    """Every sentence of ports.JobStore and ports.JobReader."""
