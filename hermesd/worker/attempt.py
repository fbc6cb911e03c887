"""What comes before and after a handler, in whatever it runs: arguments, judgement, the books."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextvars import Context
from typing import Any, Final

import trio

from hermesd.core.job import ErrorInfo
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.trace import trace_id_of
from hermesd.handlers.context import JobContext
from hermesd.handlers.contract import Handler
from hermesd.handlers.endings import UnstorableResult
from hermesd.handlers.verdict import verdict_of
from hermesd.observe.joblines import JobLines
from hermesd.worker.leases import Running, Why
from hermesd.worker.line import WorkerLine
from hermesd.worker.notes import NoteSender
from hermesd.worker.state import WorkerState

# How, after how many seconds in its handler, and what that has bound.
Ended = tuple[Running, Outcome, float, Context]

_SUCCEEDED: Final = OutcomeKind.SUCCEEDED  # which takes a third of the time to read


class Attempts:
    """The steps of one attempt, for all kinds of execution; `now` is monotonic seconds."""

    def __init__(self, state: WorkerState, notes: NoteSender):
        self._state = state
        self._notes = notes
        # A thread may ask the clock itself, but not trio.current_time().
        self.now = trio.lowlevel.current_clock().current_time
        self.observers = state.catalogue.observers
        self._lines = JobLines(state.log, state, state.clock)
        self.line = WorkerLine(state, self._lines)

    def begin(self, runs: Iterable[Running]) -> None:
        """Their handlers are about to be called."""
        for job_type, jobs in Counter(run.job.type for run in runs).items():
            self._state.metrics.started(job_type, jobs)

    def arguments(self, run: Running, handler: Handler) -> tuple[Any, ...]:
        """The decoded payload, and the context where the handler takes one."""
        payload = handler.decode(run.job.payload)
        if not handler.takes_context:
            return (payload,)
        context = JobContext.for_job(
            run.job,
            settings=self._state.catalogue.settings_for(handler),
            is_cancelled=lambda: run.should_end(self.now()),
            logger=self._state.log,
            notes=self._notes.book,
            trace_context=run.trace_context,
        )
        return payload, context

    def succeeded(self, run: Running, handler: Handler, value: Any) -> Outcome:
        """The handler has returned that value; raises UnstorableResult where it cannot be kept."""
        result = handler.encode_result(value)
        most = self._state.config.worker.max_result_bytes
        if len(result) > most:
            raise UnstorableResult(f"the result has {len(result)} bytes, at most {most} are kept")
        return self.outcome(run, _SUCCEEDED, result=result)

    def raised(self, run: Running, error: BaseException) -> Outcome:
        """What was raised, as an outcome; raises it again where this very task is cancelled.

        Only there a Cancelled is not the handler's own doing: the whole worker is being torn down.
        """
        if trio.current_effective_deadline() == -math.inf and _cancelled(error):
            raise error
        if run.ended_from_outside:
            return self.ended(run)
        verdict = verdict_of(error)
        return self.outcome(run, verdict.kind, error=verdict.error, delay=verdict.delay_seconds)

    def ended(self, run: Running) -> Outcome:
        """It was ended from outside, or by its time limit."""
        if run.why is Why.CANCEL:
            error = ErrorInfo(kind="cancelled", message="cancelled while running")
            return self.outcome(run, OutcomeKind.CANCELLED, error=error)
        if run.why is not None:
            return self.outcome(run, OutcomeKind.INTERRUPTED)
        message = f"did not end within {run.job.timeout:g} s"
        return self.outcome(
            run, OutcomeKind.FAILED, error=ErrorInfo(kind="timeout", message=message)
        )

    def outcome(
        self,
        run: Running,
        kind: OutcomeKind,
        *,
        error: ErrorInfo | None = None,
        result: bytes | None = None,
        delay: float | None = None,
    ) -> Outcome:
        """An outcome of now."""
        return Outcome(
            token=run.token,
            kind=kind,
            result=result,
            error=error,
            delay_seconds=delay,
            started_at=run.started_at,
            finished_at=self._state.clock.utc(),
        )

    def has_told(self, run: Running) -> bool:
        """Whether its handler has told anything, so that `over` may wait a moment."""
        return run.token in self._notes.book

    async def over(self, ended: Ended) -> None:
        """Its handler has ended: its slot is free, and its outcome waiting.

        Nothing runs within the context meanwhile.
        """
        run = ended[0]
        self._state.slots.give_back(run.kind)
        told = self.has_told(run)
        if told and run.why is not Why.REVOKED:
            await self._notes.last_words(run.token)
        self._settle((ended,))
        if told:
            self._notes.book.forget(run.token)

    def all_over(self, ended: Sequence[Ended]) -> None:
        """The same of several of one kind of execution, none of which has told anything."""
        if ended:
            self._state.slots.give_back(ended[0][0].kind, len(ended))
            self._settle(ended)

    def _settle(self, ended: Sequence[Ended]) -> None:
        state = self._state
        state.leases.end_all(
            [(run, None if run.why is Why.REVOKED else outcome) for run, outcome, _, _ in ended]
        )
        state.outcomes.set()
        durations: dict[tuple[str, OutcomeKind], list[float]] = {}
        for run, outcome, seconds, _ in ended:
            durations.setdefault((run.job.type, outcome.kind), []).append(seconds)
            self.observers.job_finished(run.job, outcome)
        for (job_type, kind), each in durations.items():
            state.metrics.ended(job_type, kind, each)
            self.line.ended[kind] += len(each)
        self._log(ended)

    def torn(self, run: Running) -> None:
        """The whole worker is being torn down: the lease dies with the incarnation."""
        self._state.slots.give_back(run.kind)
        self._state.leases.end(run, None)

    def _log(self, ended: Sequence[Ended]) -> None:
        """One line an attempt, if there is room, with what its handler has bound.

        Of an error only its kind.
        """
        lines = self._lines
        well = [each for each in ended if each[1].kind is _SUCCEEDED]
        for each in well[: lines.room(len(well))]:
            each[3].run(lines.tell, "job ended", **_told_of(*each[:3]))
        if len(well) < len(ended):
            for each in ended:
                if each[1].kind is not _SUCCEEDED:
                    each[3].run(lines.trouble, "job ended", **_told_of(*each[:3]))


def _told_of(run: Running, outcome: Outcome, seconds: float) -> dict[str, Any]:
    context = run.trace_context or run.job.trace_context
    return {
        "job_id": run.job.id,
        "type": run.job.type,
        "queue": run.job.queue,
        "attempt": run.job.attempts,
        "outcome": str(outcome.kind),
        "ran_seconds": round(seconds, 6),
        "error": outcome.error.kind if outcome.error else None,
        "trace_id": trace_id_of(context) if context else None,
    }


def _cancelled(raised: BaseException) -> bool:
    if isinstance(raised, BaseExceptionGroup):
        return raised.subgroup(trio.Cancelled) is not None
    return isinstance(raised, trio.Cancelled)
