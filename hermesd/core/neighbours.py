"""The other apis of one store, as far as they are heard, and which waiting jobs are whose first.

Several apis with free slots would all go for the same oldest job, and all but one in vain. So each
prefers its share of them; nothing but speed depends on all of them agreeing on who is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

from hermesd.core.job import Job
from hermesd.core.words import Place

_Head = tuple[Place, int]  # a line, and whose share of it

PRESENT_SECONDS: Final = 12.5  # two greetings may be lost
NEGLECTED_SECONDS: Final = 1.0


class Neighbours:
    """Who was heard when, in monotonic seconds; `name` is one's own.

    `changes` rises whenever one comes or goes, as some of its words may be missed then.
    """

    def __init__(self, name: str) -> None:
        self.changes = 0
        self._name = name
        self._heard: dict[str, float] = {}
        self._boots: dict[str, str] = {}
        self._publishers: tuple[str, ...] = (name,)  # those whose waiting jobs go to the broker
        self._names: tuple[str, ...] = (name,)  # of all that are present, in one order for all
        self._number = 0
        # Of each line, who stood first of another's share, and since when.
        self._heads: dict[_Head, tuple[str, float]] = {}

    @property
    def alone(self) -> bool:
        """Whether no other api is known to be there."""
        return len(self._names) == 1

    @property
    def others(self) -> tuple[str, ...]:
        """The names of the other apis that are there."""
        return tuple(name for name in self._names if name != self._name)

    @property
    def publish(self) -> bool:
        """Whether another api that is there says that its waiting jobs go to the broker."""
        return len(self._publishers) > 1

    def heard(self, name: str, boot: str, now: float) -> bool:
        """Another api is there; True where this life of it was not known."""
        new = name not in self._heard or self._boots[name] != boot
        self._heard[name], self._boots[name] = now, boot
        if new:
            self._count()
        return new

    def said_of_broker(self, name: str, *, publishes: bool) -> bool:
        """Whether another api's waiting jobs go to the broker; True where that is news."""
        if publishes == (name in self._publishers):
            return False
        others = set(self._publishers) ^ {name}
        self._publishers = tuple(sorted(others))
        return True

    def left(self, name: str) -> None:
        """It is not there any more."""
        self.said_of_broker(name, publishes=False)
        if self._heard.pop(name, None) is not None:
            del self._boots[name]
            self._count()

    def forget_silent(self, now: float) -> Sequence[str]:
        """Those that were not heard for long are not there; they are answered."""
        silent = [name for name, at in self._heard.items() if now - at >= PRESENT_SECONDS]
        for name in silent:
            self.left(name)
        return silent

    def mine(self, job_id: str) -> bool:
        """Whether a waiting job is of one's own share."""
        return self.alone or self._share(job_id) == self._number

    def publishes(self, job_id: str) -> bool:
        """Whether it is one's own to bring a waiting job to the broker, when all publish."""
        names = self._publishers
        return len(names) == 1 or names[crc32(job_id.encode()) % len(names)] == self._name

    def pick(self, jobs: Sequence[Job], now: float) -> tuple[list[Job], set[Place]]:
        """Of those that stand first: the ones to go for; and the lines that others are left in.

        The jobs of another's share are so where one's own is empty in their line, or where the
        first of them has been standing there for NEGLECTED_SECONDS.
        """
        heads, self._heads = self._heads, {}
        if self.alone:
            return list(jobs), set()
        lines = {_place_of(job) for job in jobs if self.mine(job.id)}
        picked: list[Job] = []
        left: set[Place] = set()
        for job in jobs:
            place, share = _place_of(job), self._share(job.id)
            if share == self._number or place not in lines:
                picked.append(job)
                continue
            head = (place, share)
            if head not in self._heads:
                first, since = heads.get(head, ("", now))
                self._heads[head] = (job.id, since if first == job.id else now)
            if now - self._heads[head][1] >= NEGLECTED_SECONDS:
                picked.append(job)
            else:
                left.add(place)
        return picked, left

    def all_mine(self, jobs: Iterable[Job]) -> bool:
        """Whether all are of one's own share."""
        return self.alone or all(self.mine(job.id) for job in jobs)

    def _share(self, job_id: str) -> int:
        return crc32(job_id.encode()) % len(self._names)

    def _count(self) -> None:
        self.changes += 1
        self._names = tuple(sorted({self._name, *self._heard}))
        self._number = self._names.index(self._name)


def _place_of(job: Job) -> Place:
    return job.queue, job.type, job.priority
