"""Takes dispatched batches: every job of a batch is accepted or refused at once, with a reason."""

from __future__ import annotations

from typing import Final

from hermesd.core.fleet import (
    Acceptance,
    DispatchAnswer,
    DispatchBatch,
    DispatchItem,
    ProbeAnswer,
)
from hermesd.core.job import Token
from hermesd.handlers.contract import Handler
from hermesd.worker.execute import Executor
from hermesd.worker.leases import Running, job_of
from hermesd.worker.state import Session, WorkerState

_ACCEPTED: Final = Acceptance.ACCEPTED  # which takes a third of the time to read


class Receiver:
    """Decides on batches without waiting; accepted jobs are begun by the executor."""

    def __init__(self, state: WorkerState, executor: Executor):
        self._state = state
        self._executor = executor

    def who(self) -> ProbeAnswer:
        """Who answers at this address."""
        state = self._state
        return ProbeAnswer(
            incarnation=state.incarnation, worker_id=state.worker_id, draining=state.draining
        )

    def accept(self, batch: DispatchBatch) -> DispatchAnswer | ProbeAnswer:
        """The answer to a batch; a ProbeAnswer refuses all of it.

        A batch number that is known gets the answer it got; one for another incarnation, from
        another life of the api, or behind a fence is refused.
        """
        state = self._state
        session = state.sessions.get(batch.api_name)
        if (
            session is None
            or batch.incarnation != state.incarnation
            or batch.api_boot != session.api_boot
        ):
            return self.who()
        if batch.number == session.last_batch and session.answer is not None:
            return session.answer
        if batch.number <= max(session.last_batch, session.fence):
            return self.who()
        items = self._take_all(batch.jobs, session)
        state.metrics.received(len(items))
        session.last_batch = batch.number
        session.answer = DispatchAnswer(
            incarnation=state.incarnation,
            number=batch.number,
            heartbeat=session.heartbeat_number,
            view=state.view(session),
            items=items,
        )
        return session.answer

    def _take_all(
        self, items: tuple[DispatchItem, ...], session: Session
    ) -> tuple[Acceptance, ...]:
        """The word on each; those accepted begin together, at one reading of the clock."""
        state = self._state
        if state.draining:
            return (Acceptance.DRAINING,) * len(items)
        now, utc, name = state.clock.monotonic(), state.clock.utc(), session.api_name
        held, handler_of = state.leases.running, state.catalogue.get
        free = {} if state.clogged else state.slots.free()
        taken = dict.fromkeys(free, 0)
        begun: dict[Token, tuple[Running, Handler]] = {}
        answers = []
        for item in items:
            token, handler = Token(item.id, item.lease), handler_of(item.type)
            if token in held or token in begun:
                answers.append(_ACCEPTED)
                continue
            if handler is None:
                answers.append(Acceptance.UNKNOWN_TYPE)
                continue
            kind = handler.type.kind
            if taken.get(kind, 0) >= free.get(kind, 0):
                answers.append(Acceptance.FULL)
                continue
            taken[kind] += 1
            job = job_of(item, state.worker_id)
            begun[token] = Running(job, token, kind, name, utc, now + job.timeout), handler
            answers.append(_ACCEPTED)
        for each, slots in taken.items():
            state.slots.take(each, slots)
        state.leases.begin_all([run for run, _ in begun.values()])
        self._executor.begin(begun.values())
        return tuple(answers)
