"""The kinds of things worth telling of a job or a worker."""

from __future__ import annotations

from enum import StrEnum


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
    DISPATCH_FAILED = "dispatch-failed"
    UNSTORABLE = "unstorable"
    DROPPED = "dropped"
    LEFT_OUT = "left-out"  # of the events of another api, some are not known here
