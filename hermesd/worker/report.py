"""Hands outcomes to the apis, and does not let go of one before it has a final verdict.

The report is retried, never the work. All outcomes that piled up while a report was under way go
into the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from hermesd.core.errors import HermesError, InvalidValue, TooLarge
from hermesd.core.job import ErrorInfo
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import Report, Verdict
from hermesd.worker.state import Session, WorkerState

MAX_REPORT_OUTCOMES = 1000
# The message limit of the control line is at least the largest result, and never far below this.
MAX_REPORT_BYTES = 1024 * 1024
MIN_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 2.0


class Reporter:
    """The agent that reports; it outlives the jobs."""

    def __init__(self, state: WorkerState):
        self._state = state
        self._empty = trio.Event()
        self._most = MAX_REPORT_OUTCOMES

    async def run(self) -> None:
        """Report whenever there is something to report; back off while no api takes it."""
        retry = MIN_RETRY_SECONDS
        while True:
            if not self._state.leases.unsettled:
                self._empty.set()
                await self._state.outcomes.wait()
                continue
            if await self.run_once():
                retry = MIN_RETRY_SECONDS
            else:
                await self._state.outcomes.wait(retry)
                retry = min(retry * 2, MAX_RETRY_SECONDS)

    async def flushed(self) -> None:
        """Return when every outcome has its final verdict."""
        while self._state.leases.unsettled:
            self._empty = trio.Event()
            self._state.outcomes.set()
            await self._empty.wait()

    async def run_once(self) -> bool:
        """One report; True if it brought any outcome nearer to its final verdict."""
        session, outcomes = self._next()
        if session is None:
            return False
        state = self._state
        report = Report(
            incarnation=state.incarnation,
            api_boot=session.api_boot,
            view=state.view(session),
            outcomes=tuple(outcomes),
        )
        begun = state.clock.monotonic()
        try:
            answer = await session.link.report(report)
        except (TooLarge, InvalidValue) as error:
            return self._part(session, outcomes, error)
        except HermesError as error:
            state.log.warning(
                "cannot report yet", outcomes=len(outcomes), api=session.api_name, why=error.detail
            )
            self._state.lose(session)
            return False
        state.metrics.reported(len(outcomes), state.clock.monotonic() - begun)
        self._most = MAX_REPORT_OUTCOMES
        if answer.register_again:
            self._state.lose(session)
        return self._settle(outcomes, answer.verdicts)

    def _part(self, session: Session, outcomes: Sequence[Outcome], error: HermesError) -> bool:
        """The api refuses such a report: halve it until the one at fault is alone, and replace it.

        One bad outcome must not hold up the others, nor be tried for ever.
        """
        if len(outcomes) > 1:
            self._most = len(outcomes) // 2
            return True
        [outcome] = outcomes
        self._state.log.error("outcome refused", job_id=outcome.token.job_id, why=error.detail)
        if outcome.error is not None and outcome.error.kind == "unstorable-result":
            self._state.lose(session)
            return False
        reason = ErrorInfo(kind="unstorable-result", message=f"refused: {error.detail[:500]}")
        plain = Outcome(token=outcome.token, kind=OutcomeKind.PERMANENT, error=reason)
        self._state.leases.replace(plain)
        return True

    def _settle(self, outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> bool:
        final = [
            outcome.token
            for outcome, verdict in zip(outcomes, verdicts, strict=True)
            if verdict is not Verdict.RETRY
        ]
        clogged = self._state.clogged
        self._state.leases.settled(final)
        if clogged and not self._state.clogged:
            self._state.beat_now()
        return bool(final)

    def _next(self) -> tuple[Session | None, list[Outcome]]:
        """An api, and the outcomes to tell it: first its own, then those of unreachable ones."""
        sessions = {name: s for name, s in self._state.sessions.items() if s.live}
        if not sessions:
            return None, []
        anybody = next(iter(sessions.values()))
        chosen: Session | None = None
        outcomes: list[Outcome] = []
        size = 0
        for outcome, api_name in self._state.leases.unsettled.values():
            target = sessions.get(api_name, anybody)
            if chosen is None:
                chosen = target
            if target is chosen:
                size += _size(outcome)
                if outcomes and (size > MAX_REPORT_BYTES or len(outcomes) >= self._most):
                    break
                outcomes.append(outcome)
        return chosen, outcomes


def _size(outcome: Outcome) -> int:
    """About how many bytes an outcome takes on the wire."""
    size = 256 + len(outcome.result or b"")
    if (error := outcome.error) is not None:
        size += len(error.message) + len(error.traceback)
    return size
