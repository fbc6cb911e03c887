"""Outcomes in, verdicts out: what becomes of a job is committed before its worker is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hermesd.api.ledger import Ledger
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.job import ErrorInfo, Job
from hermesd.core.outcome import Outcome, OutcomeKind, Settlement, settle
from hermesd.core.records import Verdict
from hermesd.core.states import Move
from hermesd.core.workerview import WorkerView

_NOT_TAKEN: Final = frozenset({Verdict.DROPPED, Verdict.UNKNOWN})
# To name a member of an enumeration takes three times as long as a global.
_RETRY: Final = Verdict.RETRY
_RECORDED: Final = Verdict.RECORDED
_SUCCEEDED: Final = OutcomeKind.SUCCEEDED
_Settling = tuple[int, Job, Settlement]  # an outcome's place in its report, and what it makes


class Recorder:
    """Settles the reports of workers."""

    def __init__(self, state: ApiState, ledger: Ledger):
        self._state = state
        self._ledger = ledger
        self._max_result_bytes = state.config.worker.max_result_bytes

    async def record(
        self, view: WorkerView | None, outcomes: Sequence[Outcome]
    ) -> tuple[Verdict, ...]:
        """One verdict for each outcome; RETRY for all while the store is away."""
        try:
            return await self._record(view, outcomes)
        except (Unavailable, OutcomeUnknown) as error:
            self._state.log.warning("cannot record", outcomes=len(outcomes), why=error.detail)
            return (Verdict.RETRY,) * len(outcomes)

    async def wait_ended(self, job_id: str, seconds: float) -> None:
        """Return when the job's run ended at this api, or after `seconds`."""
        await self._ledger.wait_ended(job_id, seconds)

    def settlement(self, outcome: Outcome, job: Job, now: float) -> Settlement:
        """What an outcome makes of its running job."""
        most = self._max_result_bytes
        if outcome.result is not None and len(outcome.result) > most:
            error = ErrorInfo(
                kind="unstorable-result",
                message=f"the result has {len(outcome.result)} bytes, at most {most} are kept",
            )
            return Settlement(token=outcome.token, move=Move.FAIL, at=now, error=error)
        chance = 0.0 if outcome.kind is _SUCCEEDED else self._state.chance()
        return settle(outcome, job, now, chance)

    async def _record(
        self, view: WorkerView | None, outcomes: Sequence[Outcome]
    ) -> tuple[Verdict, ...]:
        now = self._state.clock.utc()
        jobs = await self._jobs(view, outcomes)
        verdicts = [Verdict.UNKNOWN] * len(outcomes)
        settling: list[_Settling] = []
        for index, (outcome, job) in enumerate(zip(outcomes, jobs, strict=True)):
            if job is None:
                continue
            if job.lease == outcome.token.lease:
                settling.append((index, job, self.settlement(outcome, job, now)))
            else:
                verdicts[index] = Verdict.DROPPED
        if settling:
            answers = await self._state.jobs.settle([settlement for _, _, settlement in settling])
            for (index, _, _), verdict in zip(settling, answers, strict=True):
                verdicts[index] = verdict
            self._settled(view, settling, answers)
        for verdict in _NOT_TAKEN.intersection(verdicts):
            for _ in range(verdicts.count(verdict)):
                self._state.metrics.dropped(verdict)
        return tuple(verdicts)

    def _settled(
        self, view: WorkerView | None, settling: Sequence[_Settling], verdicts: Sequence[Verdict]
    ) -> None:
        """The store has answered on settlements, with a verdict each."""
        settled: list[tuple[Job, Settlement]] = []
        for (_, job, settlement), verdict in zip(settling, verdicts, strict=True):
            if verdict is _RETRY:
                continue
            if view is not None:
                view.drop(job.id, job.lease)
            if verdict is _RECORDED:
                settled.append((job, settlement))
            elif verdict is Verdict.UNSTORABLE:
                settled.append((job, _unstorable(settlement)))
        self._ledger.settled(settled)

    async def _jobs(
        self, view: WorkerView | None, outcomes: Sequence[Outcome]
    ) -> Sequence[Job | None]:
        """The job of each outcome: from memory where this api gave it out, else the store's."""
        held = view.held if view is not None else {}
        jobs: list[Job | None] = []
        missing: list[str] = []
        for outcome in outcomes:
            token = outcome.token
            mine = held.get(token.job_id)
            if mine is not None and mine.job.lease == token.lease:
                jobs.append(mine.job)
            else:
                jobs.append(None)
                missing.append(token.job_id)
        if not missing:
            return jobs
        read = {job.id: job for job in await self._state.reader.get_many(missing)}
        return [
            read.get(outcome.token.job_id) if job is None else job
            for outcome, job in zip(outcomes, jobs, strict=True)
        ]


def _unstorable(settlement: Settlement) -> Settlement:
    """What the store recorded instead of an outcome that it cannot keep."""
    error = ErrorInfo(kind="unstorable-result", message="the outcome cannot be stored")
    return Settlement(token=settlement.token, move=Move.FAIL, at=settlement.at, error=error)
