"""What goes through a broker, as structs; how it is written: queues/messages.py."""

from __future__ import annotations

import msgspec

from hermesd.core.fleet import DispatchItem
from hermesd.core.job import Token
from hermesd.core.outcome import Outcome


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """Whose message it is."""

    store_id: str
    token: Token


class JobMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A waiting job with all that its worker needs; `enqueued_at` is in UTC seconds."""

    store_id: str
    enqueued_at: float
    job: DispatchItem


class OutcomeMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a job that ran unclaimed: its token is that of the job's message."""

    store_id: str
    worker_id: str
    incarnation: str
    outcome: Outcome
