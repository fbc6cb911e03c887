"""Walks over the jobs that fit a filter, and what their errors have in common."""

from __future__ import annotations

import msgspec

from hermesd.core.states import State


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the jobs by id, the order of their creation: from `start` on up to `until`.

    Both are included. At most `rows` jobs of the wanted states are looked at.
    """

    start: str = ""
    until: str
    rows: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A job that fits, as it was then; `size_bytes` is its payload's, which changing it reads."""

    id: str
    state: State
    size_bytes: int = 0


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs that fit, the oldest first, and where to go on (None: that was all)."""

    jobs: tuple[Found, ...]
    next_start: str | None = None


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failed jobs whose errors differ in numbers and ids only (core/errorgroups.py).

    `newest` and `oldest` are when jobs of it failed, in UTC seconds; `newest_id` is the job of it
    that was created last.
    """

    type: str
    error_kind: str
    error: str
    count: int
    newest: float
    oldest: float
    newest_id: str


class ErrorGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The groups, most jobs first; `complete`: no older failed jobs were left out."""

    groups: tuple[ErrorGroup, ...]
    complete: bool
