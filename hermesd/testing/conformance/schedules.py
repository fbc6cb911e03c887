"""The suite for Schedules: what is kept of them, and their fires."""

from __future__ import annotations

from hermesd.testing.conformance.firing import FiringConformance
from hermesd.testing.conformance.keeping import KeepingConformance


class SchedulesConformance(KeepingConformance, FiringConformance):
    """Every sentence of ports.Schedules."""
