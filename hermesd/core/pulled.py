"""Outcomes of jobs that were pulled and run while no api answered, and what became of them."""

from __future__ import annotations

import msgspec

from hermesd.core.job import Job, Owner, Rung, Token
from hermesd.core.outcome import Outcome, Settlement
from hermesd.core.records import Verdict
from hermesd.core.states import State


class PulledOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a job that was pulled and run while no api was there to grant the claim.

    `token` is the message's, from before the claim. `settlement` is what the outcome makes of
    `running(job)`, of whichever of the two leases; it may be left out (None) for a success.
    """

    token: Token
    incarnation: str
    worker_id: str
    outcome: Outcome
    settlement: Settlement | None = None

    def running(self, job: Job | None) -> Job | None:
        """The job as it ran: claimed now if it waits still; None where this outcome is too late."""
        if job is None:
            return None
        if job.state is State.QUEUED and job.lease == self.token.lease:
            started = self.outcome.started_at or self.outcome.finished_at or job.updated_at
            return msgspec.structs.replace(
                job,
                state=State.RUNNING,
                owner=Owner.INCARNATION,
                lease=job.lease + 1,
                attempts=job.attempts + 1,
                rung=Rung.AMQP,
                worker_id=self.worker_id,
                incarnation=self.incarnation,
                started_at=started,
            )
        own = job.state is State.RUNNING and job.incarnation == self.incarnation
        return job if own and job.lease == self.token.lease + 1 else None


class PulledAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a pulled outcome.

    Where something was recorded `running` is the job as it was settled, `settlement` how, and
    `waiting` the job before the claim that was made up for (None: it had been claimed).
    """

    verdict: Verdict
    waiting: Job | None = None
    running: Job | None = None
    settlement: Settlement | None = None
