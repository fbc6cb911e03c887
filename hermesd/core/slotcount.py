"""One worker's free slots: what it said last, less what this api has sent since.

A view of the slots names the last batch that it reflects, so that nothing is counted twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from hermesd.core.fleet import SlotView


class SlotCount:
    """Free slots by kind, as far as one api knows them."""

    def __init__(self) -> None:
        self._version = -1
        self._free: dict[str, int] = {}  # until the first view: it may be busy with older leases
        self._unseen: Counter[str] = Counter()
        self._sent: deque[tuple[int, Counter[str]]] = deque()

    def free(self, kind: str) -> int:
        """Free slots of a kind; may be below 0."""
        return self._free.get(kind, 0) - self._unseen[kind]

    def apply(self, view: SlotView, slots: Mapping[str, int]) -> bool:
        """Take over a view unless a newer one is known; no more than `slots` are free in it."""
        if view.version <= self._version:
            return False
        self._version = view.version
        self._free = {kind: min(view.free.get(kind, 0), most) for kind, most in slots.items()}
        while self._sent and self._sent[0][0] <= view.last_batch:
            self._unseen.subtract(self._sent.popleft()[1])
        return True

    def take(self, kind: str, jobs: int = 1) -> None:
        """So many jobs are about to be sent."""
        self._unseen[kind] += jobs

    def give_back(self, kind: str) -> None:
        """A job that was to be sent will not be."""
        self._unseen[kind] -= 1

    def exhausted(self, kind: str) -> None:
        """None is free before the next view."""
        self._free[kind] = 0

    def sent(self, number: int, kinds: Iterable[str]) -> None:
        """These were sent in a batch of that number."""
        self._sent.append((number, Counter(kinds)))

    def forget(self, number: int) -> None:
        """A batch surely never arrived: its slots are free again."""
        for entry in self._sent:
            if entry[0] == number:
                self._unseen.subtract(entry[1])
                self._sent.remove(entry)
                return
