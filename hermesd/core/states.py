"""The life of a job as a table: which move leads from which state to which.

Every change of a job's state, in the store and in the fakes, is one of these moves; what the
table lacks raises IllegalMove. docs and tests read the same table.

    scheduled ──due──► queued ──assign──► running ──succeed──► succeeded
        ▲                ▲ ▲                 │ │──fail───────► failed (dead-letter queue)
        │                │ └────release──────┤ └──cancel─────► cancelled
        └──retry, snooze─┼───────────────────┘
                         └──requeue── failed (a new run)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from hermesd.core.errors import IllegalMove


class State(StrEnum):
    """Where a job is in its life."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the run has ended."""
        return self in TERMINAL


class Move(StrEnum):
    """What can happen to a job."""

    DUE = "due"  # its time has come, or an operator said: now
    ASSIGN = "assign"  # pushed to a worker, or claimed by one
    REASSIGN = "reassign"  # the worker refused it, another one gets it in the same commit
    SUCCEED = "succeed"
    FAIL = "fail"  # attempts exhausted, permanent, quarantined, unstorable
    RETRY = "retry"
    SNOOZE = "snooze"
    RELEASE = "release"  # the worker was lost or handed it back: the attempt is given back
    CANCEL = "cancel"
    RETURN = "return"  # the broker gave the message up and the crash limit is passed
    REQUEUE = "requeue"  # an operator starts a new run


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

MOVES: Mapping[tuple[State, Move], State] = MappingProxyType(
    {
        (State.SCHEDULED, Move.DUE): State.QUEUED,
        (State.SCHEDULED, Move.CANCEL): State.CANCELLED,
        (State.QUEUED, Move.ASSIGN): State.RUNNING,
        (State.QUEUED, Move.CANCEL): State.CANCELLED,
        (State.QUEUED, Move.RETURN): State.FAILED,
        (State.RUNNING, Move.REASSIGN): State.RUNNING,
        (State.RUNNING, Move.SUCCEED): State.SUCCEEDED,
        (State.RUNNING, Move.FAIL): State.FAILED,
        (State.RUNNING, Move.RETRY): State.SCHEDULED,
        (State.RUNNING, Move.SNOOZE): State.SCHEDULED,
        (State.RUNNING, Move.RELEASE): State.QUEUED,
        (State.RUNNING, Move.CANCEL): State.CANCELLED,
        (State.FAILED, Move.REQUEUE): State.QUEUED,
    }
)


def after(state: State, move: Move) -> State:
    """The state that `move` leads to from `state`; raises IllegalMove where there is none."""
    try:
        return MOVES[state, move]
    except KeyError:
        raise IllegalMove(f"a job that is {state} cannot {move}", state=str(state)) from None


def sources(move: Move) -> frozenset[State]:
    """The states from which `move` is possible."""
    return frozenset(state for state, possible in MOVES if possible is move)
