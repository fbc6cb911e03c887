"""Runs one job: decode, call the handler in its kind of execution, judge, hand over the outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextvars import copy_context
from functools import partial
from typing import Final

import trio

from hermesd.core.job import Kind
from hermesd.core.outcome import Outcome
from hermesd.core.trace import InChild
from hermesd.handlers.contract import Handler
from hermesd.observe.tracing import Tracing
from hermesd.worker.attempt import Attempts
from hermesd.worker.child.frames import Noted
from hermesd.worker.crew import Crew
from hermesd.worker.leases import Running
from hermesd.worker.notes import NoteSender
from hermesd.worker.processes import ProcessPool, ProcessTask
from hermesd.worker.state import WorkerState

_ASYNC: Final = Kind.ASYNC  # which takes a third of the time to read


class Executor:
    """The pipeline of one attempt. It never raises, whatever the handler does, but for one thing:
    a handler that leaves a nursery open makes trio end all that runs beside it.

    Jobs that are begun run in the nursery `jobs`.
    """

    def __init__(
        self, state: WorkerState, pool: ProcessPool, notes: NoteSender, jobs: trio.Nursery
    ):
        self._state = state
        self._pool = pool
        self._notes = notes
        self._jobs = jobs
        self._traced_in_child = InChild.NOT if state.tracing is None else state.tracing.in_child
        self._attempts = Attempts(state, notes)
        self._crew = Crew(self._attempts, jobs)
        self.line = self._attempts.line
        self._threads = trio.CapacityLimiter(max(state.slots.totals[Kind.THREAD], 1))
        self._ways: dict[str, Callable[[Running, Handler], Awaitable[Outcome]]] = {
            Kind.ASYNC: self._in_loop,
            Kind.THREAD: self._in_thread,
            Kind.PROCESS: self._in_process,
        }

    def begin(self, accepted: Iterable[tuple[Running, Handler]]) -> None:
        """Run accepted jobs beside each other and all others; see `execute`."""
        plain: list[tuple[Running, Handler]] = []
        for run, handler in accepted:
            if run.kind == _ASYNC and self._state.tracing is None:
                plain.append((run, handler))
            else:
                self._jobs.start_soon(self.execute, run, handler)
        if plain:
            self._crew.take(plain)

    async def execute(self, run: Running, handler: Handler) -> None:
        """Run an accepted job to its end; its slot is free and its outcome waiting after that."""
        attempts = self._attempts
        attempts.begin((run,))
        attempts.observers.job_started(run.job)
        began = attempts.now()
        try:
            tracing = self._state.tracing
            if tracing is None:
                outcome = await self._attempt(run, handler)
            else:
                outcome = await self._traced(tracing, run, handler)
        except BaseException:
            attempts.torn(run)
            raise
        await attempts.over((run, outcome, attempts.now() - began, copy_context()))

    def resize(self) -> None:
        """Have as many threads as there are slots by now."""
        self._threads.total_tokens = max(self._state.slots.totals[Kind.THREAD], 1)

    async def _traced(self, tracing: Tracing, run: Running, handler: Handler) -> Outcome:
        """The attempt, in a span that what the handler traces is under."""
        with tracing.attempt(run.job) as attempt:
            run.trace_context = attempt.context
            outcome = await self._attempt(run, handler)
            attempt.ended(outcome)
            return outcome

    async def _attempt(self, run: Running, handler: Handler) -> Outcome:
        try:
            return await self._ways[run.kind](run, handler)
        except BaseException as raised:
            return self._attempts.raised(run, raised)

    async def _in_loop(self, run: Running, handler: Handler) -> Outcome:
        arguments = self._attempts.arguments(run, handler)
        value = None
        with run.within(trio.CancelScope(deadline=run.deadline)) as scope:
            value = await handler.fn(*arguments)
        if scope.cancelled_caught:
            return self._attempts.ended(run)
        return self._attempts.succeeded(run, handler, value)

    async def _in_thread(self, run: Running, handler: Handler) -> Outcome:
        attempts = self._attempts
        arguments = attempts.arguments(run, handler)
        try:
            # A thread cannot be killed: it is waited for, and may poll whether it should end.
            with trio.CancelScope(shield=True):
                value = await trio.to_thread.run_sync(handler.fn, *arguments, limiter=self._threads)
        except Exception as raised:
            if run.should_end(attempts.now()):
                return attempts.ended(run)
            return attempts.raised(run, raised)
        return attempts.succeeded(run, handler, value)

    async def _in_process(self, run: Running, handler: Handler) -> Outcome:
        task = ProcessTask.for_job(
            handler,
            run.job,
            self._state.catalogue.settings_for(handler),
            trace_context=run.trace_context or run.job.trace_context,
            traced=self._traced_in_child,
        )
        reply = None
        with run.within(trio.CancelScope(deadline=run.deadline)):
            reply = await self._pool.run(task, partial(self._noted, run))
        if reply is None:
            return self._attempts.ended(run)
        return self._attempts.outcome(
            run, reply.kind, error=reply.error, result=reply.result, delay=reply.delay_seconds
        )

    def _noted(self, run: Running, noted: Noted) -> None:
        """A handler in a child process has told something."""
        book = self._notes.book
        if noted.progress is not None:
            book.progress(run.token, *noted.progress)
        for level, line in noted.lines:
            book.line(run.token, level, line)
        book.dropped(run.token, noted.dropped)
