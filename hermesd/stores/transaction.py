"""All statements of one group, in the same order in every store.

The order is fixed (fleet and what jobs tell, what is hot, hand-overs, all other changes, purges).
All parts of a group are concurrent, so that any order is one that could have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from hermesd.core.job import Token
from hermesd.stores import api_rows, fleet_verbs, note_rows, point_rows, queue_rows
from hermesd.stores.backend import Answers, Evidence, Part, Verb
from hermesd.stores.broker_moves import failed_instead
from hermesd.stores.changes import Changes
from hermesd.stores.hot import HotRows
from hermesd.stores.micros import micros
from hermesd.stores.moves import unstorable
from hermesd.stores.order import OrderKeys
from hermesd.stores.schedule_orders import ScheduleOrders
from hermesd.stores.submissions import Submissions
from hermesd.stores.tables import Tables
from hermesd.stores.unit import Unit


def apply(
    tables: Tables, keys: OrderKeys, parts: Sequence[Part], *, look_first: bool
) -> tuple[Answers, Evidence | None]:
    """The answers, and what proves the commit later; with `look_first` each job is read first.

    Raises LateChange where, without `look_first`, some success or assignment hit no job.
    """
    group = _Group(tables, keys, parts)
    for place in range(len(parts)):
        group.take(place, look_first=look_first)
    return group.answers, group.write()


class _Group:
    """The parts of a transaction, by what they need; a place is a part's number."""

    def __init__(self, tables: Tables, keys: OrderKeys, parts: Sequence[Part]) -> None:
        self.answers: list[Sequence[Any]] = [()] * len(parts)
        self._tables = tables
        self._keys = keys
        self._parts = parts
        self._rows = HotRows(keys)
        self._orders = ScheduleOrders(tables, keys)
        self._keyed: list[int] = []
        self._handovers: list[int] = []
        self._one_by_one: list[int] = []
        self._purges: list[int] = []

    def take(self, place: int, *, look_first: bool) -> None:
        """Do a part that touches no jobs, and sort in all others."""
        part = self._parts[place]
        match part.verb:
            case verb if verb in fleet_verbs.FLEET_VERBS:
                self.answers[place] = fleet_verbs.apply(
                    self._tables.fleet, verb, part.items, part.at
                )
            case Verb.NOTE:
                self.answers[place] = note_rows.write(self._tables.execute, part.items)
            case Verb.API:
                self.answers[place] = api_rows.apply(self._tables.execute, part.items, part.at)
            case Verb.POINT:
                self.answers[place] = point_rows.apply(self._tables.execute, part.items)
            case Verb.QUEUE:
                self.answers[place] = queue_rows.apply(self._tables.execute, part.items, part.at)
            case Verb.SCHEDULE:
                self.answers[place] = self._orders.apply(part.items, part.at)
            case Verb.PURGE:
                self._purges.append(place)
            case Verb.HAND_OVER:
                self._handovers.append(place)
            case _:
                self._take_change(place, part, look_first=look_first)

    def _take_change(self, place: int, part: Part, *, look_first: bool) -> None:
        inserts = part.verb is Verb.INSERT or part.verb is Verb.BEAR
        answer = None if look_first and not inserts else self._rows.add(part)
        if answer is not None:
            self.answers[place] = answer
        else:
            (self._keyed if inserts else self._one_by_one).append(place)

    def write(self) -> Evidence | None:
        """All that was sorted in; what proves the commit later."""
        jobs, unit = self._tables.jobs, Unit(self._tables.jobs, self._keys)
        if self._rows.evidence is not None:
            jobs.hot(self._rows)  # before any job is read into the unit
        self._hand_over()
        evidence = self._insert(unit) or self._rows.evidence or self._orders.evidence
        if self._one_by_one:
            changes = Changes(jobs, unit)
            changes.look_up([self._parts[place] for place in self._one_by_one])
            for order, place in enumerate(self._one_by_one):
                self.answers[place] = changes.apply(order, self._parts[place])
            evidence = unit.flush() or evidence
        for place in self._purges:
            part = self._parts[place]
            self.answers[place] = [jobs.purge(ids, micros(part.at)) for ids in part.items]
            note_rows.purge(self._tables.execute, chain.from_iterable(part.items))
        return evidence

    def _insert(self, unit: Unit) -> Evidence | None:
        if not self._keyed:
            return None
        submissions = Submissions(self._tables.jobs, unit, self._keys)
        parts = [self._parts[place] for place in self._keyed]
        submissions.look_up([part.items[0] for part in parts])
        for place, part in zip(self._keyed, parts, strict=True):
            self.answers[place] = [submissions.admit(part.items[0], part.at)]
        return submissions.flush()

    def _hand_over(self) -> None:
        """All before any of the jobs is read to be changed."""
        if not self._handovers:
            return
        parts = [self._parts[place] for place in self._handovers]
        rows = [(token.job_id, token.lease, at) for part in parts for token, at in part.items]
        left = set(self._tables.jobs.hand_over(rows))
        for place, part in zip(self._handovers, parts, strict=True):
            self.answers[place] = [_once(left, token) for token, _ in part.items]


def instead(part: Part, reason: str) -> Part | None:
    """See Backend.instead: an outcome that can't be stored fails its job."""
    if part.verb is Verb.SETTLE:
        failure = unstorable(part.items[0], reason)
        return Part(verb=Verb.SETTLE_INSTEAD, items=(failure,), at=part.at)
    if part.verb is Verb.SETTLE_PULLED:
        outcome, at = part.items[0]
        item = (failed_instead(outcome, at, reason), at)
        return Part(verb=Verb.SETTLE_PULLED_INSTEAD, items=(item,), at=part.at)
    return None


def _once(left: set[Token], token: Token) -> bool:
    """A token that is named twice serves once."""
    found = token in left
    left.discard(token)
    return found
