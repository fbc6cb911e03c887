"""Submissions with idempotency keys: the keys first, then all new jobs in one statement."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hermesd.core.errors import IdempotencyConflict
from hermesd.core.job import Job, Owner
from hermesd.core.records import IdempotencyKey, Submission, Submitted
from hermesd.core.states import State
from hermesd.stores.backend import Evidence
from hermesd.stores.insertion import admitted
from hermesd.stores.micros import micros
from hermesd.stores.order import OrderKeys
from hermesd.stores.rows import changing, identity
from hermesd.stores.tables import JobTables
from hermesd.stores.unit import Unit

_KeyName = tuple[str, str]  # principal, key hash


class _Known(msgspec.Struct, frozen=True):
    """The first use of a key; `job` is None where it was purged."""

    body_hash: str
    job_id: str
    expires_us: int
    job: Job | None
    final_state: str | None = None

    def holds(self, at: float) -> bool:
        """Whether the key is in use still: not expired, or its job has not ended."""
        alive = self.job is not None and not self.job.state.terminal
        return alive or self.expires_us > micros(at)

    def answer(self, asked: Job) -> Submitted:
        """The first job; of a purged one only id and end are known, the rest is as asked again."""
        if self.job is not None:
            return Submitted(job=self.job, repeated=True)
        state = State(self.final_state or State.SUCCEEDED)
        job = msgspec.structs.replace(asked, id=self.job_id, state=state, owner=Owner.NONE)
        return Submitted(job=job, repeated=True)


class Submissions:
    """All submissions of one transaction; `flush()` writes what `admit()` let in."""

    def __init__(self, tables: JobTables, unit: Unit, keys: OrderKeys) -> None:
        self._tables = tables
        self._unit = unit
        self._order = keys
        self._known: dict[_KeyName, _Known] = {}
        self._jobs: list[tuple[Job, int]] = []
        self._keys: dict[_KeyName, _Known] = {}

    def look_up(self, submissions: Sequence[Submission]) -> None:
        """Read the keys that are known already, with their jobs."""
        names = [(key.principal, key.key_hash) for one in submissions for key in one.keys if key]
        if not names:
            return
        found = self._tables.keys(names)
        self._unit.load([job_id for _, _, _, job_id, _, _ in found])
        for principal, key_hash, body_hash, job_id, expires_us, final in found:
            job = self._unit.get(job_id)
            known = _Known(body_hash, job_id, expires_us, job, final)
            self._known[principal, key_hash] = known

    def admit(self, submission: Submission, at: float) -> list[Submitted] | IdempotencyConflict:
        """All jobs of a submission or, for a key that was used with another body, none."""
        answers: list[Submitted] = []
        fresh: dict[_KeyName, _Known] = {}
        new: list[Job] = []
        for index, (job, key) in enumerate(zip(submission.jobs, submission.keys, strict=True)):
            known = self._first_use(key, fresh, at)
            if key is not None and known is not None:
                if known.body_hash != key.body_hash:
                    return IdempotencyConflict(
                        "this idempotency key was used with another body", index=index
                    )
                answers.append(known.answer(job))
                continue
            job = admitted(job, at)
            new.append(job)
            answers.append(Submitted(job=job))
            if key is not None:
                expires = micros(key.expires_at)
                fresh[key.principal, key.key_hash] = _Known(key.body_hash, job.id, expires, job)
        self._jobs += [(job, self._order.next(at)) for job in new]
        self._known.update(fresh)
        self._keys.update(fresh)
        return answers

    def _first_use(
        self, key: IdempotencyKey | None, fresh: dict[_KeyName, _Known], at: float
    ) -> _Known | None:
        if key is None:
            return None
        name = (key.principal, key.key_hash)
        known = fresh.get(name) or self._known.get(name)
        return known if known is not None and known.holds(at) else None

    def flush(self) -> Evidence | None:
        """Write jobs and keys; answers what proves the commit later."""
        if not self._jobs:
            return None
        rows = [identity(job) + changing(job, place) for job, place in self._jobs]
        self._tables.insert(rows)
        if self._keys:
            keys = [(*name, k.body_hash, k.job_id, k.expires_us) for name, k in self._keys.items()]
            self._tables.put_keys(keys)
        first, _ = self._jobs[0]
        return (first.id, str(first.state), first.lease)
