"""A group that was not committed at the first try: what of it can be stored is.

A group that fails because of an item is halved until that item fails alone; a group that fails
because of the database fails whole, and every waiter is told that nothing was done.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import Broken, HermesError, OutcomeUnknown, StoreUnavailable, Unstorable
from hermesd.stores.backend import Answers, Backend, CommitUnknown, ItemFault
from hermesd.stores.stats import GroupStats
from hermesd.stores.work import Piece, Work


class Divider:
    """Commits groups on a thread that may wait for the database, and answers every item.

    `unknown` is what the first try has left of the group that comes next, if it may have been
    committed: that is looked up then, and nothing is written.
    """

    def __init__(self, backend: Backend, stats: GroupStats, log: FilteringBoundLogger) -> None:
        self.unknown: CommitUnknown | None = None
        self._backend = backend
        self._stats = stats
        self._log = log

    def commit(self, group: Sequence[Work]) -> None:
        """Give each work its answers, exceptions included."""
        for work in group:
            work.answers = [None] * len(work.part.items)
        try:
            self._store([Piece(work, 0, len(work.part.items)) for work in group])
        except Exception as error:  # a defect must reach the callers, not end the thread
            self._log.error("store group failed", trace=trace(error))
            for work in group:
                work.fail(Broken(f"the store failed: {error!r}"))

    def _store(self, pieces: Sequence[Piece]) -> None:
        try:
            self._commit(pieces)
        except (StoreUnavailable, OutcomeUnknown) as error:
            self._stats.failed_groups += 1
            self._stats.failing = True
            self._log.warning("store commit failed", error=error.detail, changes=len(pieces))
            for piece in pieces:
                piece.fail(error)
        except Exception as error:
            self._divide(pieces, error)

    def _commit(self, pieces: Sequence[Piece]) -> None:
        parts = [piece.part() for piece in pieces]
        begun = time.perf_counter()
        unknown, self.unknown = self.unknown, None
        try:
            answers = self._look_up(unknown) if unknown else self._backend.commit(parts)
        except CommitUnknown as doubt:
            answers = self._look_up(doubt)
        items = sum(len(part.items) for part in parts)
        self._stats.committed(time.perf_counter() - begun, items)
        for piece, answer in zip(pieces, answers, strict=True):
            piece.answer(answer)

    def _look_up(self, unknown: CommitUnknown) -> Answers:
        detail = "the store did not tell whether the change was committed"
        if unknown.evidence is None:
            raise OutcomeUnknown(detail)
        try:
            landed = self._backend.landed(unknown.evidence)
        except StoreUnavailable:
            raise OutcomeUnknown(detail) from None
        if not landed:
            raise StoreUnavailable("the store could not commit the change")
        return unknown.answers

    def _divide(self, pieces: Sequence[Piece], error: Exception) -> None:
        """Store each half by itself; a single item fails alone, or is replaced."""
        if len(pieces) > 1:
            middle = len(pieces) // 2
            self._store(pieces[:middle])
            self._store(pieces[middle:])
        elif halves := pieces[0].halves():
            self._store(halves[:1])
            self._store(halves[1:])
        else:
            self._fail_alone(pieces[0], error)

    def _fail_alone(self, piece: Piece, error: Exception) -> None:
        if not isinstance(error, ItemFault):
            self._log.error("store item failed", trace=trace(error))
            piece.fail(error if isinstance(error, HermesError) else Broken(repr(error)))
            return
        self._log.warning("store item refused", error=str(error), verb=str(piece.work.part.verb))
        other = self._backend.instead(piece.part(), str(error))
        if other is None:
            piece.fail(Unstorable(str(error)))
            return
        stand_in = Work(other, whole=True, weight=1)
        self._store([Piece(stand_in, 0, 1)])
        piece.answer(stand_in.answers)


def trace(error: Exception) -> str:
    """A traceback without local variables, which would put payloads into the log."""
    return "".join(traceback.format_exception(error))
