"""The first of the waiting jobs, in memory, so that most of them need not be read back.

What waits stands in lines, one for each queue, type and priority. Of each line the first jobs are
known here in their order, or all of them (`whole`): then one that comes is put at the end. Nothing
depends on it being right: whoever is given out in vain, or is missing here, is found by the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from hermesd.core.job import HIGHEST_PRIORITY, Job, Owner

Place = tuple[str, str, int]  # queue, type, priority

MAX_BYTES: Final = 32 * 1024 * 1024
JOB_BYTES: Final = 768  # what a job takes beside its payload and labels, generously
LABEL_BYTES: Final = 128  # and a label beside its texts


class Line:
    """The first jobs of one line; `whole` where they are all that wait in it."""

    __slots__ = ("jobs", "whole")

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.whole = True


class Ahead:
    """The lines, of at most `max_bytes` together, and what one reading brings."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._lines: dict[Place, Line] = {}
        self._room = max_bytes
        self._max_bytes = max_bytes
        self._arrived: list[Job] | None = None  # while the store is being read
        self._hidden: set[Place] = set()  # meanwhile

    def line(self, place: Place) -> Line | None:
        """What is known of a line, None for nothing."""
        return self._lines.get(place)

    def arrived(self, jobs: Sequence[Job], waiting: int) -> None:
        """Jobs alike have come to the end of their line, in which `waiting` stand with them."""
        if jobs[0].owner is not Owner.STORE:
            return
        if self._arrived is not None:
            self._arrived += jobs
            return
        place = place_of(jobs[0])
        line = self._lines.get(place)
        if line is None and waiting == len(jobs):
            line = self._lines[place] = Line()
        if line is not None and line.whole:
            self._append(line, jobs)

    def take(self, line: Line) -> Job:
        """The first of a line, which is known here no longer."""
        job = line.jobs.popleft()
        self._room += _size(job)
        return job

    def take_plain(self, line: Line, most: int, until: float) -> list[Job]:
        """The first of a line that are no suspects and were queued `until` then, `most` at most."""
        waiting, size = line.jobs, 0
        taken: list[Job] = []
        while waiting and len(taken) < most:
            job = waiting[0]
            if (job.enqueued_at or 0.0) > until or (job.crash_count and job.suspect):
                break
            taken.append(waiting.popleft())
            size += _size(job)
        self._room += size
        return taken

    def put_back(self, line: Line, jobs: Sequence[Job]) -> None:
        """They were taken, and keep their places before all that are left."""
        line.jobs.extendleft(reversed(jobs))
        self._room -= sum(map(_size, jobs))

    def misjudged(self, job: Job) -> None:
        """It did not wait any more, or not as it was known here: others may be missing."""
        line = self._lines.get(place_of(job))
        if line is not None:
            line.whole = False

    def hidden(self, place: Place) -> None:
        """Others stand in this line, which are not known here."""
        line = self._lines.get(place)
        if line is not None:
            line.whole = False
        if self._arrived is not None:
            self._hidden.add(place)

    def clear(self) -> None:
        """Nothing is known."""
        self._lines.clear()
        self._room = self._max_bytes

    def begin_reading(self) -> None:
        """The store is asked what waits: remember what comes until it has answered."""
        self._arrived = []
        self._hidden.clear()

    def give_up_reading(self) -> None:
        """It did not answer: what came meanwhile is known to the store only."""
        for job in self._arrived or ():
            self._forget(place_of(job))
        self._arrived = None

    def read(self, places: Iterable[Place], jobs: Sequence[Job], *, everything: bool) -> None:
        """The answer: `jobs` stand first in these lines, in their order over all of them.

        `everything`: there are no others in these lines, but for those that came meanwhile. Other
        lines are known no longer where there is no room for them beside these.
        """
        arrived, self._arrived = self._arrived or (), None
        known = {job.id for job in jobs}
        # An answer that was cut off has all of what is more urgent than its last.
        cut = -1 if everything else jobs[-1].priority if jobs else HIGHEST_PRIORITY
        read = {*places, *map(place_of, jobs)}
        for place in read:
            self._forget(place)
        size = sum(map(_size, jobs))
        if size > self._room:
            self.clear()
        for place in read:
            line = self._lines[place] = Line()
            line.whole = place[2] > cut
        for job in jobs:
            self._lines[place_of(job)].jobs.append(job)
        self._room -= size
        for place in self._hidden & self._lines.keys():
            self._lines[place].whole = False
        for job in arrived:
            came = self._lines.get(place_of(job))
            if came is not None and job.id not in known:
                self._append(came, (job,))

    def doubt(self, waiting: Mapping[Place, int]) -> None:
        """So many wait in truth: a line that is shorter is not whole."""
        for place, line in self._lines.items():
            if len(line.jobs) < waiting.get(place, 0):
                line.whole = False

    def _append(self, line: Line, jobs: Collection[Job]) -> None:
        size = sum(map(_size, jobs))
        if size > self._room:
            line.whole = False
        if line.whole:
            line.jobs.extend(jobs)
            self._room -= size

    def _forget(self, place: Place) -> None:
        line = self._lines.pop(place, None)
        if line is not None:
            self._room += sum(map(_size, line.jobs))


def place_of(job: Job) -> Place:
    """The line that a waiting job stands in."""
    return job.queue, job.type, job.priority


def _size(job: Job) -> int:
    size = len(job.payload) + JOB_BYTES
    if job.labels:
        size += sum(len(name) + len(text) + LABEL_BYTES for name, text in job.labels.items())
    return size
