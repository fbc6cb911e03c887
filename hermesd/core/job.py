"""A job as every layer knows it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from hermesd.core.backoff import Backoff
from hermesd.core.errors import InvalidValue
from hermesd.core.states import State

PRIORITY_LEVELS: Final = {"background": 0, "normal": 3, "high": 7, "critical": 10}
LOWEST_PRIORITY: Final = 0
HIGHEST_PRIORITY: Final = 10
DEFAULT_PRIORITY: Final = PRIORITY_LEVELS["normal"]
DEFAULT_QUEUE: Final = "default"

Labels = dict[str, str]


class Kind(StrEnum):
    """How a handler is executed; a worker has slots of each kind."""

    ASYNC = "async"
    THREAD = "thread"
    PROCESS = "process"


class Owner(StrEnum):
    """Who may move a job that has not ended: exactly one at a time (invariant 3)."""

    TIMER = "timer"
    STORE = "store"
    AMQP = "amqp"
    INCARNATION = "incarnation"
    NONE = "none"  # it has ended


FITTING_OWNERS: Final = {
    State.SCHEDULED: frozenset({Owner.TIMER}),
    State.QUEUED: frozenset({Owner.STORE, Owner.AMQP}),
    State.RUNNING: frozenset({Owner.INCARNATION}),
}


class Rung(StrEnum):
    """The way by which a job reaches its worker."""

    PUSH = "push"
    AMQP = "amqp"
    STORE = "store"


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an attempt ended badly: a stable kind, a message for people, a traceback if there is one.

    Kinds: error, permanent, timeout, crashed, cancelled, quarantined, unstorable-result,
    lost-worker, overruled, bad-payload, unknown-type.
    """

    kind: str
    message: str = ""
    traceback: str = ""


class Token(msgspec.Struct, frozen=True, array_like=True):
    """The right to report on one run of one job: valid while the job's lease is this one."""

    job_id: str
    lease: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job. Times are UTC seconds since the epoch; `payload` and `result` are JSON texts.

    `attempts` counts the attempts begun in this run of the job, for people; `lease` rises at every
    assignment, claim, release and return to the queue and is never reset: it is what outcomes are
    checked against.
    """

    id: str
    type: str
    payload: msgspec.Raw
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    state: State = State.QUEUED
    attempts: int = 0
    max_attempts: int = 3
    timeout: float = 300.0
    backoff: Backoff = Backoff()
    labels: Labels = {}
    run: int = 1
    lease: int = 0
    owner: Owner = Owner.STORE
    rung: Rung | None = None
    assigned_by: str | None = None
    worker_id: str | None = None
    incarnation: str | None = None
    crash_count: int = 0
    crash_limit: int = 3
    cancel_requested: bool = False
    created_at: float = 0.0
    updated_at: float = 0.0
    enqueued_at: float | None = None
    run_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    result: msgspec.Raw | None = None
    error: ErrorInfo | None = None
    trace_context: str | None = None
    limit_key: str | None = None

    @property
    def suspect(self) -> bool:
        """Whether one more death would quarantine it, so that it must not die of another's deed.

        Jobs that were charged less may run together: of a worker's jobs all are charged with its
        death, and to run them one by one would punish the many for the one.
        """
        return self.crash_count > 0 and self.crash_count >= self.crash_limit - 1

    @property
    def token(self) -> Token:
        """What an outcome of the current assignment must carry."""
        return Token(self.id, self.lease)


def priority_of(value: int | str) -> int:
    """A priority from 0 to 10, given as such or as the name of a level."""
    if isinstance(value, str):
        try:
            return PRIORITY_LEVELS[value]
        except KeyError:
            names = ", ".join(PRIORITY_LEVELS)
            raise InvalidValue(f"priority {value!r} is none of {names}") from None
    if isinstance(value, bool) or not LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY:
        raise InvalidValue(f"priority must be from 0 to 10, got {value}")
    return value


def fits_owner(job: Job) -> bool:
    """Whether the owner fits the state (invariant 3); a running job names its incarnation."""
    fitting = FITTING_OWNERS.get(job.state, frozenset({Owner.NONE}))
    return job.owner in fitting and (job.state is not State.RUNNING or job.incarnation is not None)
