"""Workers that can take the same jobs, kept in the order of their turns.

Finding the next costs the same with one worker as with hundreds: a change of a worker is noted, and
only what changed since the last look is put in its new place.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from hermesd.core.job import Kind

if TYPE_CHECKING:
    from hermesd.core.workerview import WorkerView

LOAD_STEPS: Final = 8

# Load in steps, whether nothing waits to be sent, load, last turn, number in the registry (which
# makes it unique), and whose it is. The least goes first.
Rank = tuple[float, bool, float, int, int, "WorkerView"]


def rank_of(view: WorkerView, kind: str) -> Rank | None:
    """A worker's place among others, None where no slot of the kind is free.

    Less load goes first, then who waited longest for a turn. Loads of async slots that are in the
    same eighth of all slots count as equal, and then a worker that jobs wait to be sent to goes
    first: so a burst goes to a hundred workers in few and large batches (measured, 512 slots each
    and 32 connections: 16 jobs a batch and 22 a report, with 10 and 100 workers as with one). An
    eighth bounds how far apart jobs that take long can put them. Slots of the other kinds each want
    a core, and fewer than two to a step are told apart: there load is exact.
    """
    slots, free = view.slots.get(kind, 0), view.free(kind)
    if free <= 0:
        return None
    used, load = slots - free, 1 - free / slots
    step = slots // LOAD_STEPS if kind == Kind.ASYNC else 0
    if step < 2:
        return load, True, load, view.turn, view.number, view
    return used // step * step / slots, not view.unsent, load, view.turn, view.number, view


class Choice(msgspec.Struct, frozen=True):
    """A worker, and the kind of slot that the job takes there."""

    worker: WorkerView
    kind: str


class Roster:
    """The workers of one registry that can take jobs of some type and queue, with the slot's kind.

    Whoever can take no job now for another reason than its slots is passed over when asked, since
    that is rare and short.
    """

    def __init__(self, members: Sequence[tuple[WorkerView, str]]):
        self._choices = {view: Choice(view, kind) for view, kind in members}
        self._ranks: dict[WorkerView, Rank] = {}
        self._order: list[Rank] = []
        self._changed = set(self._choices)
        # A lone worker needs no order, which would be a third of the cost of a choice.
        self._only = members[0][0] if len(members) == 1 else None
        if self._only is None:
            for view in self._choices:
                view.watch(self._changed)

    def first(self, *, suspect: bool = False) -> Choice | None:
        """Who gets the next job; None where nobody can.

        A suspect goes only to a worker that has no other.
        """
        if self._only is not None:
            choice = self._choices[self._only]
            return choice if _can_take(choice, suspect=suspect) else None
        if self._changed:
            self._update()
        for rank in self._order:
            choice = self._choices[rank[-1]]
            if _can_take(choice, suspect=suspect):
                return choice
        return None

    def again(self, view: WorkerView, *, suspect: bool = False) -> Choice | None:
        """As `first`, but `view` itself as long as it has a slot, whoever has fewer jobs."""
        choice = self._choices.get(view)
        if choice is not None and _can_take(choice, suspect=suspect):
            return choice
        return self.first(suspect=suspect)

    def free(self) -> int:
        """The slots that are free for its jobs."""
        return sum(
            max(view.free(choice.kind), 0)
            for view, choice in self._choices.items()
            if view.routable
        )

    def kinds(self) -> set[str]:
        """The kinds of slot that its jobs take where they can be sent at all."""
        return {choice.kind for view, choice in self._choices.items() if view.routable}

    def _update(self) -> None:
        order, ranks = self._order, self._ranks
        for view in self._changed:
            before = ranks.pop(view, None)
            if before is not None:
                del order[bisect_left(order, before)]
            now = rank_of(view, self._choices[view].kind)
            if now is not None:
                ranks[view] = now
                insort(order, now)
        self._changed.clear()


def _can_take(choice: Choice, *, suspect: bool) -> bool:
    view = choice.worker
    return view.free(choice.kind) > 0 and view.routable and not (suspect and view.has_suspect)
