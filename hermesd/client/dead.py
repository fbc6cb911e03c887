"""What is answered about dead letters, and on orders to many jobs."""

from __future__ import annotations

from datetime import datetime

from hermesd.client.answers import Answer


class Part(Answer, frozen=True, kw_only=True):
    """How many jobs were meant by an order, or by a part of it.

    `skipped` were not changed: they had moved on, or cannot be. `cursor` is where to go on (None:
    that was all), `held_back`: in a moment, since the queue has no room for more now.
    """

    matched: int
    skipped: int = 0
    cursor: str | None = None
    held_back: bool = False


class Changed(Part, frozen=True, kw_only=True):
    """And how many were retried or cancelled."""

    changed: int = 0


class Requeued(Part, frozen=True, kw_only=True):
    """And how many got a new run."""

    requeued: int = 0


class Purged(Part, frozen=True, kw_only=True):
    """And how many were deleted."""

    purged: int = 0


class ErrorGroup(Answer, frozen=True, kw_only=True):
    """Dead jobs of one type whose errors differ in numbers and ids only, which are `#` in `error`.

    `newest` and `oldest` are when jobs of it failed; `newest_id` was created last.
    """

    type: str
    error_kind: str
    error: str
    count: int
    newest: datetime
    oldest: datetime
    newest_id: str


class ErrorGroupList(Answer, frozen=True, kw_only=True):
    """The groups, most jobs first; `more_groups` are left out.

    `complete` is false where there are older dead jobs than were looked at.
    """

    groups: tuple[ErrorGroup, ...]
    jobs: int = 0
    complete: bool = True
    more_groups: int = 0
