"""Answers on orders to many jobs, and on groups of failed ones; see `views` for the conventions."""

from __future__ import annotations

from collections.abc import Sequence

from hermesd.api.views import Time, View


class BulkView(View, frozen=True, kw_only=True):
    """How many jobs fitted in this part of an order, and what became of them.

    `skipped` had moved on, or cannot be changed. `cursor` goes on, null: that was all; `held_back`:
    in a moment, since as many jobs wait as an order may let wait.
    """

    matched: int
    changed: int
    skipped: int
    cursor: str | None
    held_back: bool


class RequeueView(View, frozen=True, kw_only=True):
    """How many failed jobs fitted in this part of an order, and how many have a new run.

    The other members are those of an order to jobs.
    """

    matched: int
    requeued: int
    skipped: int
    cursor: str | None
    held_back: bool


class PurgeView(View, frozen=True, kw_only=True):
    """How many failed jobs fitted in this part of an order, and how many are deleted."""

    matched: int
    purged: int
    skipped: int
    cursor: str | None


class ErrorGroupView(View, frozen=True, kw_only=True):
    """Failed jobs of one type whose errors differ in numbers and ids only, which are `#` here.

    `error` is the first line of the message. `newest` and `oldest` are when jobs of it failed,
    `newest_id` is the one that was created last.
    """

    type: str
    error_kind: str
    error: str
    count: int
    newest: Time
    oldest: Time
    newest_id: str


class ErrorGroupList(View, frozen=True, kw_only=True):
    """The groups, most jobs first, and how many `jobs` are in them all.

    `more_groups` are left out. `complete` is false where there are older jobs than were looked at.
    """

    groups: Sequence[ErrorGroupView]
    jobs: int
    complete: bool
    more_groups: int
