"""One suite a port: subclass it, give it its fixtures, and pytest runs it over your adapter.

class TestMyStore(JobStoreConformance): ...

@pytest.fixture
async def store(clock): ...   # with .jobs, .outbox, .reader, .fleet, .types

@pytest.fixture
def clock(): return ManualClock()
"""

from hermesd.testing.conformance.catalogue import TypeCatalogueConformance
from hermesd.testing.conformance.fleet import FleetConformance
from hermesd.testing.conformance.jobs import JobStoreConformance
from hermesd.testing.conformance.outbox import OutboxConformance
from hermesd.testing.conformance.queue import JobQueueConformance
from hermesd.testing.conformance.scene import Scene, Store

__all__ = [
    "FleetConformance",
    "JobQueueConformance",
    "JobStoreConformance",
    "OutboxConformance",
    "Scene",
    "Store",
    "TypeCatalogueConformance",
]
