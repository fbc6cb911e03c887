"""The leases that a worker holds: jobs that run, and outcomes that no api has taken yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import msgspec
import trio

from hermesd.core.fleet import DispatchItem
from hermesd.core.job import Job, Owner, Token
from hermesd.core.outcome import Outcome
from hermesd.core.states import State

# To name a member of an enumeration takes as long as a whole dict lookup more.
_RUNNING: Final = State.RUNNING
_INCARNATION: Final = Owner.INCARNATION


class Why(StrEnum):
    """Why a running job is being ended from outside."""

    CANCEL = "cancel"  # asked for
    INTERRUPT = "interrupt"  # the drain's deadline: hand it back
    REVOKED = "revoked"  # the lease is valid no longer: nobody wants the outcome


class Running(msgspec.Struct, eq=False):
    """One job in execution. `deadline` is monotonic seconds, `started_at` UTC seconds.

    Without an api (None) it runs under the broker's acknowledgement, and its token is that of the
    message that brought it. `trace_context` is what its handler may hand on (core/trace.py), if
    that is not the job's own. `scope` is None while no handler runs that could be cancelled.
    """

    job: Job
    token: Token
    kind: str
    api_name: str | None
    started_at: float
    deadline: float
    scope: trio.CancelScope | None = None
    why: Why | None = None
    trace_context: str | None = None

    def should_end(self, now: float) -> bool:
        """Whether its handler should end; `now` is monotonic."""
        return self.why is not None or now >= self.deadline

    def end(self, why: Why) -> None:
        """End it from outside; the first reason counts, but a revoked lease beats all."""
        if self.why is None or why is Why.REVOKED:
            self.why = why
        if self.scope is not None:
            self.scope.cancel()

    def within(self, scope: trio.CancelScope) -> trio.CancelScope:
        """Its handler runs in `scope`, of its deadline: what ends it cancels that."""
        self.scope = scope
        if self.why is not None:
            scope.cancel()
        return scope

    @property
    def ended_from_outside(self) -> bool:
        """Whether it was ended so, or by its deadline, as far as that was noticed."""
        return self.why is not None or (self.scope is not None and self.scope.cancel_called)


class Leases:
    """By token: running jobs, and outcomes with the api that is to hear of them first.

    `unclaimed` and `unpublished` are the same for jobs that run without an api. `in_hand` are the
    leases that the messages in hand would have if they were granted: a heartbeat that lists them
    cannot be taken to say that a lease which was granted meanwhile is not held.
    """

    def __init__(self) -> None:
        self.running: dict[Token, Running] = {}
        self.unsettled: dict[Token, tuple[Outcome, str]] = {}
        self.unclaimed: dict[Token, Running] = {}
        self.unpublished: dict[Token, Outcome] = {}
        self.in_hand: set[Token] = set()
        self._witness: set[Token] | None = None
        self._idle = trio.Event()
        self._idle.set()

    def begin(self, run: Running) -> None:
        """A job is accepted."""
        self.begin_all((run,))

    def begin_all(self, runs: Iterable[Running]) -> None:
        """Jobs are accepted."""
        for run in runs:
            if not self.running and not self.unclaimed:
                self._idle = trio.Event()
            (self.running if run.api_name is not None else self.unclaimed)[run.token] = run

    def end(self, run: Running, outcome: Outcome | None) -> None:
        """Its handler has ended; None where the lease was revoked."""
        self.end_all(((run, outcome),))

    def end_all(self, ended: Iterable[tuple[Running, Outcome | None]]) -> None:
        """The same of several."""
        running, unsettled = self.running, self.unsettled
        for run, outcome in ended:
            run.scope = None
            token, api_name = run.token, run.api_name
            if running.get(token) is run:
                del running[token]
                if outcome is not None and api_name is not None:
                    unsettled[token] = (outcome, api_name)
            elif self.unclaimed.get(token) is run:
                del self.unclaimed[token]
                if outcome is not None:
                    self.unpublished[token] = outcome
        if not running and not self.unclaimed:
            self._idle.set()

    def replace(self, outcome: Outcome) -> None:
        """Report this instead, if the outcome of its token waits still."""
        if (before := self.unsettled.get(outcome.token)) is not None:
            self.unsettled[outcome.token] = (outcome, before[1])

    def settled(self, tokens: Iterable[Token]) -> None:
        """An api has given these their final verdict."""
        for token in tokens:
            self.unsettled.pop(token, None)
            if self._witness is not None:
                self._witness.add(token)

    @contextmanager
    def witnessed(self) -> Iterator[set[Token]]:
        """What gets its final verdict meanwhile; one asks at a time."""
        witness: set[Token] = set()
        self._witness = witness
        try:
            yield witness
        finally:
            self._witness = None

    def held(self) -> tuple[Token, ...]:
        """Everything that a heartbeat must list."""
        return (*self.running, *self.unsettled, *self.in_hand)

    def cancel(self, tokens: Iterable[Token]) -> None:
        """End these jobs, as their api asks."""
        for token in tokens:
            if run := self.running.get(token):
                run.end(Why.CANCEL)

    def revoke(self, tokens: Iterable[Token]) -> None:
        """These leases are valid no longer: end the jobs and forget the outcomes."""
        for token in tokens:
            self.unsettled.pop(token, None)
            if run := self.running.get(token):
                run.end(Why.REVOKED)

    def revoke_all(self) -> None:
        """The incarnation is fenced: nothing that it holds is valid."""
        self.revoke((*self.running, *self.unsettled))

    def interrupt_all(self) -> None:
        """The drain's deadline has come."""
        for run in [*self.running.values(), *self.unclaimed.values()]:
            run.end(Why.INTERRUPT)

    async def wait_idle(self) -> None:
        """Return when no handler runs."""
        await self._idle.wait()


def job_of(item: DispatchItem, worker_id: str) -> Job:
    """The job as handlers and observers see it."""
    return Job(
        id=item.id,
        type=item.type,
        payload=item.payload.copy(),
        queue=item.queue,
        priority=item.priority,
        state=_RUNNING,
        attempts=item.attempt,
        max_attempts=item.max_attempts,
        timeout=item.timeout,
        labels=dict(item.labels) if item.labels else {},
        run=item.run,
        lease=item.lease,
        owner=_INCARNATION,
        worker_id=worker_id,
        trace_context=item.trace_context,
    )
