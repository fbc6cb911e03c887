"""One suite a port: subclass it, give it its fixtures, and pytest runs it over your adapter.

class TestMyStore(JobStoreConformance): ...

@pytest.fixture
async def store(clock): ...   # with what `scene.Store` says: .jobs, .outbox, .reader, ...

@pytest.fixture
def clock(): return ManualClock()
"""

from hermesd.testing.conformance.apis import ApisConformance
from hermesd.testing.conformance.catalogue import TypeCatalogueConformance
from hermesd.testing.conformance.fleet import FleetConformance
from hermesd.testing.conformance.jobs import JobStoreConformance
from hermesd.testing.conformance.notes import NotesConformance
from hermesd.testing.conformance.outbox import OutboxConformance
from hermesd.testing.conformance.points import PointsConformance
from hermesd.testing.conformance.queue import JobQueueConformance
from hermesd.testing.conformance.queues import QueuesConformance
from hermesd.testing.conformance.scene import Scene, Store
from hermesd.testing.conformance.schedules import SchedulesConformance

__all__ = [
    "ApisConformance",
    "FleetConformance",
    "JobQueueConformance",
    "JobStoreConformance",
    "NotesConformance",
    "OutboxConformance",
    "PointsConformance",
    "QueuesConformance",
    "Scene",
    "SchedulesConformance",
    "Store",
    "TypeCatalogueConformance",
]
