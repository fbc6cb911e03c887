"""The kinds of things worth telling of a job or a worker."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class EventKind(StrEnum):
    """What happened; the store keeps retries, errors, releases and operator acts only.

    A job's normal history is read from its timestamps; the kinds after `error` are told live by
    the api and kept in memory, except `quarantined` and `unstorable`, which end a job.
    """

    SUBMITTED = "submitted"
    DIRECT = "direct"  # accepted by a worker at once
    QUEUED = "queued"
    PUBLISHED = "published"  # it waits at the broker now
    TAKEN_BACK = "taken-back"  # it waits in the store again
    STARTED = "started"
    PROGRESS = "progress"  # a running job told how far it is
    LOGGED = "logged"  # a running job added lines to its log
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRY = "retry"
    SNOOZED = "snoozed"
    RELEASED = "released"
    CANCELLED = "cancelled"
    CANCEL_REQUESTED = "cancel-requested"
    REQUEUED = "requeued"
    DUE = "due"  # an operator made a scheduled job due now
    ERROR = "error"
    QUARANTINED = "quarantined"
    UNROUTED = "unrouted"
    EVICTED = "evicted"
    REGISTERED = "registered"
    DEREGISTERED = "deregistered"
    DRAINED = "drained"
    PAUSED = "paused"  # a worker: it takes no new jobs until it is resumed
    RESUMED = "resumed"
    DRAINING = "draining"  # a worker was told to leave
    QUEUE_PAUSED = "queue-paused"
    QUEUE_RESUMED = "queue-resumed"
    DISPATCH_FAILED = "dispatch-failed"
    UNSTORABLE = "unstorable"
    DROPPED = "dropped"
    LEFT_OUT = "left-out"  # of the events of another api, some are not known here


# What events are counted as, where people are shown how many there were.
SUMS: Final = MappingProxyType(
    {
        "succeeded": (EventKind.SUCCEEDED,),
        "failed": (EventKind.FAILED, EventKind.QUARANTINED),
        "cancelled": (EventKind.CANCELLED,),
        "retried": (EventKind.RETRY,),
        "snoozed": (EventKind.SNOOZED,),
        "released": (EventKind.RELEASED,),
        "requeued": (EventKind.REQUEUED,),
    }
)


def sums_of(totals: Mapping[str, int]) -> dict[str, int]:
    """By these names, from the number of events of each kind."""
    return {name: sum(totals.get(kind, 0) for kind in kinds) for name, kinds in SUMS.items()}
