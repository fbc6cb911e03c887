"""Takes dispatched batches: every job of a batch is accepted or refused at once, with a reason."""

from __future__ import annotations

import trio

from hermesd.core.fleet import (
    Acceptance,
    DispatchAnswer,
    DispatchBatch,
    DispatchItem,
    ProbeAnswer,
)
from hermesd.worker.execute import Executor
from hermesd.worker.leases import Running, job_of
from hermesd.worker.state import Session, WorkerState


class Receiver:
    """Decides on batches without waiting; accepted jobs start in the `jobs` nursery."""

    def __init__(self, state: WorkerState, executor: Executor, jobs: trio.Nursery):
        self._state = state
        self._executor = executor
        self._jobs = jobs

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
        now, utc, clogged = state.clock.monotonic(), state.clock.utc(), state.clogged
        answers = []
        for item in items:
            handler = state.catalogue.get(item.type)
            if item.token in state.leases.running:
                answers.append(Acceptance.ACCEPTED)
            elif handler is None:
                answers.append(Acceptance.UNKNOWN_TYPE)
            elif clogged or not state.slots.take(handler.type.kind):
                answers.append(Acceptance.FULL)
            else:
                job = job_of(item, state.worker_id)
                run = Running(job, handler.type.kind, session.api_name, utc, now + job.timeout)
                state.leases.begin(run)
                self._jobs.start_soon(self._executor.execute, run, handler)
                answers.append(Acceptance.ACCEPTED)
        return tuple(answers)
