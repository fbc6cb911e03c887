"""Runs one job: decode, call the handler in its kind of execution, judge, hand over the outcome."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from hermesd.core.job import ErrorInfo, Kind
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.trace import InChild, trace_id_of
from hermesd.handlers.context import JobContext
from hermesd.handlers.contract import Handler
from hermesd.handlers.endings import UnstorableResult
from hermesd.handlers.verdict import Verdict, verdict_of
from hermesd.observe.joblines import JobLines
from hermesd.observe.tracing import Tracing
from hermesd.worker.child.frames import Noted
from hermesd.worker.leases import Running, Why
from hermesd.worker.line import WorkerLine
from hermesd.worker.notes import NoteSender
from hermesd.worker.processes import ProcessPool, ProcessTask
from hermesd.worker.state import WorkerState


class Executor:
    """The pipeline of one attempt. It never raises, whatever the handler does."""

    def __init__(self, state: WorkerState, pool: ProcessPool, notes: NoteSender):
        self._state = state
        self._pool = pool
        self._notes = notes
        # A thread may ask the clock itself, but not trio.current_time().
        self._now = trio.lowlevel.current_clock().current_time
        self._traced_in_child = InChild.NOT if state.tracing is None else state.tracing.in_child
        self._lines = JobLines(state.log, state, state.clock)
        self.line = WorkerLine(state, self._lines)
        self._threads = trio.CapacityLimiter(max(state.slots.totals[Kind.THREAD], 1))
        self._ways: dict[str, Callable[[Running, Handler], Awaitable[Outcome]]] = {
            Kind.ASYNC: self._in_loop,
            Kind.THREAD: self._in_thread,
            Kind.PROCESS: self._in_process,
        }

    async def execute(self, run: Running, handler: Handler) -> None:
        """Run an accepted job to its end; its slot is free and its outcome waiting after that."""
        state = self._state
        state.metrics.started(run.job.type)
        state.catalogue.observers.job_started(run.job)
        began = self._now()
        try:
            tracing = state.tracing
            if tracing is None:
                outcome = await self._attempt(run, handler)
            else:
                outcome = await self._traced(tracing, run, handler)
        except BaseException:
            # The whole worker is being torn down: the lease dies with the incarnation.
            state.slots.give_back(run.kind)
            state.leases.end(run, None)
            raise
        state.slots.give_back(run.kind)
        told = run.token in self._notes.book
        if told and run.why is not Why.REVOKED:
            await self._notes.last_words(run.token)
        state.leases.end(run, None if run.why is Why.REVOKED else outcome)
        if told:
            self._notes.book.forget(run.token)
        state.outcomes.set()
        seconds = self._now() - began
        state.metrics.ended(run.job.type, outcome.kind, seconds)
        state.catalogue.observers.job_finished(run.job, outcome)
        self.line.ended[outcome.kind] += 1
        self._log(run, outcome, seconds)

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
            # Only where this task itself is cancelled is a Cancelled not the handler's own doing.
            if trio.current_effective_deadline() == -math.inf and _cancelled(raised):
                raise
            if run.scope.cancel_called:
                return self._ended(run)
            return self._judged(run, verdict_of(raised))

    async def _in_loop(self, run: Running, handler: Handler) -> Outcome:
        arguments = self._arguments(run, handler)
        result: Any = None
        with run.scope:
            result = await handler.fn(*arguments)
        if run.scope.cancelled_caught:
            return self._ended(run)
        return self._succeeded(run, handler, result)

    async def _in_thread(self, run: Running, handler: Handler) -> Outcome:
        arguments = self._arguments(run, handler)
        try:
            # A thread cannot be killed: it is waited for, and may poll whether it should end.
            with trio.CancelScope(shield=True):
                result = await trio.to_thread.run_sync(
                    handler.fn, *arguments, limiter=self._threads
                )
        except Exception as raised:
            if run.should_end(self._now()):
                return self._ended(run)
            return self._judged(run, verdict_of(raised))
        return self._succeeded(run, handler, result)

    async def _in_process(self, run: Running, handler: Handler) -> Outcome:
        task = ProcessTask.for_job(
            handler,
            run.job,
            self._state.catalogue.settings_for(handler),
            trace_context=run.trace_context,
            traced=self._traced_in_child,
        )
        reply = None
        with run.scope:
            reply = await self._pool.run(task, partial(self._noted, run))
        if reply is None:
            return self._ended(run)
        return self._outcome(
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

    def _arguments(self, run: Running, handler: Handler) -> tuple[Any, ...]:
        """The decoded payload, and the context where the handler takes one."""
        payload = handler.decode(run.job.payload)
        if not handler.takes_context:
            return (payload,)
        context = JobContext.for_job(
            run.job,
            settings=self._state.catalogue.settings_for(handler),
            is_cancelled=lambda: run.should_end(self._now()),
            logger=self._state.log,
            notes=self._notes.book,
            trace_context=run.trace_context,
        )
        return payload, context

    def _succeeded(self, run: Running, handler: Handler, value: Any) -> Outcome:
        result = handler.encode_result(value)
        most = self._state.config.worker.max_result_bytes
        if len(result) > most:
            raise UnstorableResult(f"the result has {len(result)} bytes, at most {most} are kept")
        return self._outcome(run, OutcomeKind.SUCCEEDED, result=result)

    def _ended(self, run: Running) -> Outcome:
        """It was ended from outside, or by its time limit."""
        if run.why is Why.CANCEL:
            error = ErrorInfo(kind="cancelled", message="cancelled while running")
            return self._outcome(run, OutcomeKind.CANCELLED, error=error)
        if run.why is not None:
            return self._outcome(run, OutcomeKind.INTERRUPTED)
        message = f"did not end within {run.job.timeout:g} s"
        return self._outcome(
            run, OutcomeKind.FAILED, error=ErrorInfo(kind="timeout", message=message)
        )

    def _judged(self, run: Running, verdict: Verdict) -> Outcome:
        return self._outcome(run, verdict.kind, error=verdict.error, delay=verdict.delay_seconds)

    def _outcome(
        self,
        run: Running,
        kind: OutcomeKind,
        *,
        error: ErrorInfo | None = None,
        result: bytes | None = None,
        delay: float | None = None,
    ) -> Outcome:
        return Outcome(
            token=run.token,
            kind=kind,
            result=result,
            error=error,
            delay_seconds=delay,
            started_at=run.started_at,
            finished_at=self._state.clock.utc(),
        )

    def _log(self, run: Running, outcome: Outcome, seconds: float) -> None:
        """One line an attempt, if there is room; of an error only its kind."""
        lines, well = self._lines, outcome.kind is OutcomeKind.SUCCEEDED
        if well and not lines.room():
            return
        (lines.tell if well else lines.trouble)(
            "job ended",
            job_id=run.job.id,
            type=run.job.type,
            queue=run.job.queue,
            attempt=run.job.attempts,
            outcome=str(outcome.kind),
            ran_seconds=round(seconds, 6),
            error=outcome.error.kind if outcome.error else None,
            trace_id=trace_id_of(run.trace_context) if run.trace_context else None,
        )


def _cancelled(raised: BaseException) -> bool:
    if isinstance(raised, BaseExceptionGroup):
        return raised.subgroup(trio.Cancelled) is not None
    return isinstance(raised, trio.Cancelled)
