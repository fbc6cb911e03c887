"""What the roles need from the outside, in the words of the domain; adapters are handed in.

Every method raises only errors of `core.errors`: `StoreUnavailable` when the change surely did not
happen, `OutcomeUnknown` when it may have, `Unstorable` when this very item can never be stored.
Methods that take several items apply each by itself and answer in the same order, except `insert`,
which is all or none.
"""

from hermesd.ports.broker import Broker, Delivery, JobQueue, Messages
from hermesd.ports.clock import Clock
from hermesd.ports.control import ControlLink, ControlService, Resolver
from hermesd.ports.fleet import Apis, Bus, Fleet, FleetView, TypeCatalogue
from hermesd.ports.jobs import JobReader, JobStore, Notes, Outbox
from hermesd.ports.points import Points
from hermesd.ports.queues import Queues
from hermesd.ports.schedules import Schedules

__all__ = [
    "Apis",
    "Broker",
    "Bus",
    "Clock",
    "ControlLink",
    "ControlService",
    "Delivery",
    "Fleet",
    "FleetView",
    "JobQueue",
    "JobReader",
    "JobStore",
    "Messages",
    "Notes",
    "Outbox",
    "Points",
    "Queues",
    "Resolver",
    "Schedules",
    "TypeCatalogue",
]
