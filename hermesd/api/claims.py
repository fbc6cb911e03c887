"""Workers ask for the jobs that they have pulled from the broker."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import trio

from hermesd.api.hold import adopt
from hermesd.api.ledger import Ledger
from hermesd.api.state import ApiState
from hermesd.core.job import Owner
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict
from hermesd.core.states import State


class Claims:
    """Answers claims: by the store, and before it where a queue is paused or a store foreign."""

    def __init__(self, state: ApiState, ledger: Ledger):
        self._state = state
        self._ledger = ledger

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See ports.ControlLink."""
        state, now = self._state, self._state.clock.utc()
        refused = [self._refusal(claim) for claim in claims]
        stamped = [
            msgspec.structs.replace(claim, assigned_by=state.name, at=now)
            for claim, refusal in zip(claims, refused, strict=True)
            if refusal is None
        ]
        # As in a submit: what is committed must be known here, whatever becomes of the call.
        with trio.CancelScope(shield=True):
            answered = iter(await state.jobs.claim(stamped) if stamped else ())
        answers = [refusal or next(answered) for refusal in refused]
        for claim, answer in zip(claims, answers, strict=True):
            self._claimed(claim, answer)
        return answers

    def _refusal(self, claim: Claim) -> ClaimAnswer | None:
        """The answer to a claim that the store need not be asked about."""
        if claim.store_id != self._state.store_id:
            return ClaimAnswer(verdict=ClaimVerdict.FOREIGN_STORE)
        if claim.queue in self._state.pauses:
            return ClaimAnswer(verdict=ClaimVerdict.PAUSED)
        return None

    def _claimed(self, claim: Claim, answer: ClaimAnswer) -> None:
        self._state.metrics.claimed("repeated" if answer.repeated else answer.verdict)
        job = answer.job
        if job is None:
            return
        if not answer.repeated:
            waited = msgspec.structs.replace(
                job, state=State.QUEUED, owner=Owner.AMQP, lease=claim.token.lease
            )
            self._ledger.assigned(((waited, job),))
        view = self._state.registry.get(claim.incarnation)
        held = view.held.get(job.id) if view is not None else None
        if view is not None and (held is None or held.job.lease < job.lease):
            number = max(view.heartbeat_number, claim.heartbeat)
            adopt(self._state, view, job, number, begun=True)
