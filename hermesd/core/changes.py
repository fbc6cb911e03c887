"""Changes that the store may have made already, and that are not counted in memory yet.

Whoever compares its counts with the store's must know by how much they may differ for that reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from hermesd.core.errors import Conflict, InvalidValue, NotFound


class Mark(NamedTuple):
    """A moment: the jobs whose changes were under way, and those whose changes had ever begun."""

    under_way: int
    begun: int


class Changes:
    """Counts jobs, each once for every change that is asked of the store.

    `doubtful`: one had an unknown fate, so that the counts may be wrong although none is under way.
    """

    def __init__(self) -> None:
        self.under_way = 0
        self.doubtful = False
        self._begun = 0

    @contextmanager
    def of(self, jobs: int) -> Iterator[None]:
        """Ask the store to change up to so many jobs; to be counted before any other task runs."""
        self._begun += jobs
        self.under_way += jobs
        try:
            yield
        except BaseException as error:
            self.failed(error)
            raise
        finally:
            self.under_way -= jobs

    def failed(self, error: BaseException) -> None:
        """A change ended so; by these errors nothing was changed, by all others one cannot say."""
        if not isinstance(error, Conflict | InvalidValue | NotFound):
            self.doubtful = True

    def fewer(self, jobs: int) -> None:
        """So many of those that have begun were none, as the answer tells."""
        self._begun -= jobs

    def mark(self) -> Mark:
        """Now."""
        return Mark(self.under_way, self._begun)

    def since(self, mark: Mark) -> int:
        """How many jobs at most are in doubt, in what was read from the store since then."""
        return mark.under_way + self._begun - mark.begun


def agreed(mine: int, theirs: int, touched: int) -> int:
    """The count to go on with: the store's, unless changes of so many jobs explain the difference.

    Then one's own, which has each change exactly once.
    """
    return mine if abs(mine - theirs) <= touched else theirs
