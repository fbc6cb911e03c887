"""The verbs that change jobs one by one, each applied to the unit of its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from hermesd.core.errors import IllegalMove, NotFound
from hermesd.core.job import Job, Token
from hermesd.core.outcome import Settlement
from hermesd.core.pulled import PulledAnswer, PulledOutcome
from hermesd.core.records import Cancelled, Claim, ClaimAnswer, Verdict
from hermesd.stores import broker_moves, moves
from hermesd.stores.backend import Part, Verb
from hermesd.stores.micros import micros, whole
from hermesd.stores.tables import JobTables
from hermesd.stores.unit import Unit

_BY_TOKEN: Final = frozenset({Verb.ASSIGN, Verb.CLAIM})
_SETTLING: Final = frozenset({Verb.SETTLE, Verb.SETTLE_INSTEAD})
_PULLED: Final = frozenset({Verb.SETTLE_PULLED, Verb.SETTLE_PULLED_INSTEAD})
_BY_ID: Final = frozenset({Verb.CANCEL, Verb.REQUEUE})


class Changes:
    """Reads what the parts will need in few statements, then answers each item in order."""

    def __init__(self, tables: JobTables, unit: Unit) -> None:
        self._tables = tables
        self._unit = unit
        self._living: frozenset[str] = frozenset()
        self._found: dict[int, list[str]] = {}  # candidates of a searching part, by its place

    def look_up(self, parts: Sequence[Part]) -> None:
        """Load the jobs that the parts name or search for."""
        ids: set[str] = set()
        light: set[str] = set()  # whose payloads nobody needs
        for place, part in enumerate(parts):
            if part.verb in _BY_TOKEN:
                ids.update(item.token.job_id for item in part.items)
            elif part.verb in _SETTLING:
                light.update(item.token.job_id for item in part.items)
            elif part.verb is Verb.TAKE_BACK:
                light.update(token.job_id for token, _ in part.items)
            elif part.verb in _PULLED:
                ids.update(outcome.token.job_id for outcome, _ in part.items)
            elif part.verb in _BY_ID:
                ids.update(part.items)
            else:
                self._found[place] = self._search(part)
                ids.update(self._found[place])
        claims = [item for part in parts if part.verb is Verb.CLAIM for item in part.items]
        if claims:
            names = {claim.incarnation for claim in claims}
            self._living = self._tables.living(names)
        self._unit.load(ids)
        self._unit.load(light, whole=False)

    def _search(self, part: Part) -> list[str]:
        limit = sum(part.items)
        if part.verb is Verb.RELEASE_DUE:
            return list(self._tables.due(micros(part.at), limit))
        return list(self._tables.orphans(limit))

    def apply(self, place: int, part: Part) -> list[Any]:
        """One answer for each item of the part that was looked up at `place`."""
        match part.verb:
            case Verb.SETTLE:
                return [self._settle(item) for item in part.items]
            case Verb.SETTLE_INSTEAD:
                return [_as_unstorable(self._settle(item)) for item in part.items]
            case Verb.ASSIGN:
                return [self._assign(item) for item in part.items]
            case Verb.CLAIM:
                return [self._claim(item, part.at) for item in part.items]
            case Verb.TAKE_BACK:
                return [self._take_back(token, at) for token, at in part.items]
            case Verb.SETTLE_PULLED:
                return [self._settle_pulled(outcome, at) for outcome, at in part.items]
            case Verb.SETTLE_PULLED_INSTEAD:
                answers = [self._settle_pulled(outcome, at) for outcome, at in part.items]
                return [replace(one, verdict=_as_unstorable(one.verdict)) for one in answers]
            case Verb.CANCEL:
                return [self._cancel(job_id, part.at) for job_id in part.items]
            case Verb.REQUEUE:
                return [self._requeue(job_id, part.at) for job_id in part.items]
            case _:
                return [self._release(self._found[place], part)]

    def _settle(self, settlement: Settlement) -> Verdict:
        verdict, change = moves.settled(self._unit.get(settlement.token.job_id), settlement)
        self._unit.apply(change)
        return verdict

    def _assign(self, assignment: Any) -> Job | None:
        job = self._unit.get(assignment.token.job_id)
        return self._unit.apply(moves.assigned(job, assignment))

    def _claim(self, claim: Claim, at: float) -> ClaimAnswer:
        job = self._unit.get(claim.token.job_id)
        living = claim.incarnation in self._living
        answer, change = broker_moves.claimed(job, claim, at, living=living)
        self._unit.apply(change)
        return answer

    def _take_back(self, token: Token, at: float) -> Job | None:
        job = self._unit.get(token.job_id)
        return self._unit.apply(broker_moves.taken_back(job, token, whole(at)))

    def _settle_pulled(self, outcome: PulledOutcome, at: float) -> PulledAnswer:
        job = self._unit.get(outcome.token.job_id)
        answer, change = broker_moves.pulled(job, outcome, at)
        self._unit.apply(change)
        return answer

    def _cancel(self, job_id: str, at: float) -> Cancelled | NotFound | IllegalMove:
        job = self._unit.get(job_id)
        if job is None:
            return NotFound(f"no job {job_id!r}")
        try:
            return Cancelled(job, self._unit.apply(moves.cancelled(job, at)) or job)
        except IllegalMove as ended:
            return ended

    def _requeue(self, job_id: str, at: float) -> Job | None:
        return self._unit.apply(moves.requeued(self._unit.get(job_id), at))

    def _release(self, candidates: Iterable[str], part: Part) -> list[Job]:
        move = moves.due if part.verb is Verb.RELEASE_DUE else moves.orphaned
        changes = (move(self._unit.get(job_id), part.at) for job_id in candidates)
        return [self._unit.apply(change) or change.after for change in changes if change]


def _as_unstorable(verdict: Verdict) -> Verdict:
    return Verdict.UNSTORABLE if verdict is Verdict.RECORDED else verdict
