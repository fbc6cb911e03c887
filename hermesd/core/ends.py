"""Which runs have ended lately, to notice one that ends twice (invariant 7)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from hermesd.core.job import Job

REMEMBERED_ENDS: Final = 20_000


class Ends:
    """The runs that ended lately, to see one that ends twice."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()

    def again(self, job: Job) -> bool:
        """Whether this run has ended before; remembers it."""
        key = (job.id, job.run)
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > REMEMBERED_ENDS:
            self._seen.popitem(last=False)
        return False
