"""What the group commit asks of a database, and what it hands to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec


class Verb(StrEnum):
    """The kinds of writes; one group has at most a few statements for each."""

    INSERT = "insert"
    BEAR = "bear"  # jobs that have nothing to do with each other, and no keys
    SETTLE = "settle"
    SETTLE_INSTEAD = "settle-instead"  # of an outcome that could not be stored
    ASSIGN = "assign"
    CLAIM = "claim"
    HAND_OVER = "hand-over"
    TAKE_BACK = "take-back"
    SETTLE_PULLED = "settle-pulled"
    SETTLE_PULLED_INSTEAD = "settle-pulled-instead"
    CANCEL = "cancel"
    REQUEUE = "requeue"
    RELEASE_DUE = "release-due"
    RELEASE_ORPHANS = "release-orphans"
    NOTE = "note"
    SCHEDULE = "schedule"
    API = "api"
    POINT = "point"
    QUEUE = "queue"
    PURGE = "purge"
    REGISTER = "register"
    HEARD = "heard"
    FENCE = "fence"
    COUNT_AS_HEARD = "count-as-heard"
    FORGET = "forget"
    LEARN = "learn"
    TOUCH = "touch"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Items of one verb within a transaction; `at` is the store clock's time of the call."""

    verb: Verb
    items: tuple[Any, ...]
    at: float


Answers = Sequence[Sequence[Any]]  # for each part, for each item; an exception is an answer too
Evidence = tuple[str, str, int]  # job id, state and lease that exist only if the commit happened


class ItemFault(Exception):
    """Some item of the group can never be stored; which one shows by halving the group."""


class CommitUnknown(Exception):
    """The COMMIT failed in a way that does not tell whether it happened."""

    def __init__(self, answers: Answers, evidence: Evidence | None) -> None:
        super().__init__("the commit's fate is unknown")
        self.answers = answers
        self.evidence = evidence


class Backend(Protocol):
    """One database; calls come from any thread, but only `tend_ahead` beside another one."""

    def at_once(self, parts: Sequence[Part]) -> Callable[[], Answers] | None:
        """A call that commits the parts without giving the interpreter's lock to and fro.

        None where that is not possible and `commit` has to be called. It does not touch the
        database, and can raise ItemFault; the call raises as `commit` does without `wait`, and
        ItemFault also where `commit` would have found no fault.
        """

    def commit(self, parts: Sequence[Part], *, wait: bool = True) -> Answers:
        """One transaction. Raises ItemFault, CommitUnknown or StoreUnavailable (not done).

        Without `wait`, a database that is locked by another program is unavailable at once.
        """

    def landed(self, evidence: Evidence) -> bool:
        """Whether a commit of unknown fate happened; raises StoreUnavailable if it can't tell."""

    def instead(self, part: Part, reason: str) -> Part | None:
        """What to store in place of a part of one unstorable item; None: nothing."""

    def needs_tending(self) -> bool:
        """Whether the database should be looked after (SQLite: its log be copied back)."""

    def tend_ahead(self) -> None:
        """The long part of that, while commits go on; a failure is no matter."""

    def tend(self) -> None:
        """The short part, between two commits; a failure is no matter."""

    def close(self) -> None:
        """Let go of the connection; called once, last."""
